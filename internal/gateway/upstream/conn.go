package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// epoch is where clock begins.
var epoch = time.Now()

// clock is the time in nanoseconds, which is cheaper to ask for than time.Now.
func clock() int64 { return int64(time.Since(epoch)) }

// conn is a connection to the target. One call uses it at a time.
type conn struct {
	client *Client
	socket net.Conn        // with TLS if there is
	raw    syscall.RawConn // of what is below; nil if the system has no way to look at it
	secure bool
	below  *bottom // of TLS

	since  int64 // when it became idle, or was given to a call
	readBy int64 // the read deadline that is set
	kept   bool  // it has served a call before

	// Of the call.
	end      int64 // when the whole is over; 0 never
	gone     func() bool
	headBy   int64 // when the head of the answer has to be there; 0 is not known yet
	sent     bool  // bytes of the request may have reached the target
	partial  bool  // the request was not sent whole
	drawn    bool  // its Body was read
	received bool  // bytes of the answer have come
	interims int   // answers of status 1xx
	buf      *buffer
	r, w     int // what was read and not used is buf.b[r:w]
	ahead    int // length of the head of the answer that is in front there

	ready readiness
}

// dial connects. The place of the connection has been counted.
func (c *Client) dial(now, end int64) (*conn, *Error) {
	limit := now + int64(c.options.ConnectTimeout)
	if end != 0 {
		limit = min(limit, end)
	}
	dialer := net.Dialer{Deadline: at(limit)}
	socket, err := dialer.Dial(c.options.Network, c.options.Address)
	if err != nil {
		c.leave()
		e := failure(Connect, false, err)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			e.Timeout = true
		}
		return nil, e
	}
	k := &conn{client: c, socket: socket}
	k.attach(socket)
	if c.tls == nil {
		k.since = clock()
		return k, nil
	}
	k.below = &bottom{Conn: socket}
	secured := tls.Client(k.below, c.tls)
	k.socket, k.secure = secured, true
	_ = socket.SetDeadline(at(limit))
	if err := secured.Handshake(); err != nil {
		socket.Close()
		c.leave()
		return nil, failure(Connect, false, err)
	}
	_ = socket.SetDeadline(time.Time{})
	k.since = clock()
	return k, nil
}

// bottom is the socket below TLS. It knows whether it has ended: crypto/tls takes that for a proper end of TLS, which it is not.
type bottom struct {
	net.Conn
	ended bool
}

// Read implements net.Conn.
func (b *bottom) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err == io.EOF {
		b.ended = true
	}
	return n, err
}

func at(t int64) time.Time { return epoch.Add(time.Duration(t)) }

// patience is how long a wait takes at most before it looks whether somebody still waits for the answer.
const patience = int64(1400 * time.Millisecond)

// within sets the read deadline to by, or to the end of the whole call if that is earlier, or to the next look. A deadline that is already set
// stays if it is at most a sixteenth of the time from now, and half a second, later: setting one costs more than a small read.
func (k *conn) within(now, by int64) error {
	if k.end != 0 && k.end < by {
		by = k.end
	}
	if by <= now {
		return os.ErrDeadlineExceeded
	}
	slack := min((by-now)/16, int64(time.Second/2))
	if k.gone != nil && by-now > patience {
		by, slack = now+patience/2, patience/2
	}
	if k.readBy >= by && k.readBy <= by+slack {
		return nil
	}
	k.readBy = by + slack
	return k.socket.SetReadDeadline(at(k.readBy))
}

// buffered are the bytes that were read and not used.
func (k *conn) buffered() []byte {
	if k.buf == nil {
		return nil
	}
	return k.buf.b[k.r:k.w]
}

// use takes n of the buffered bytes, and gives the buffer back with the last of them.
func (k *conn) use(n int) {
	k.r += n
	if k.r == k.w {
		k.release()
	}
}

// release gives the buffer back with what is in it.
func (k *conn) release() {
	if k.buf != nil {
		k.buf.giveBack()
		k.buf = nil
	}
	k.r, k.w = 0, 0
}

// idle is when the next piece of a body has to be there.
func (k *conn) idle() int64 { return clock() + int64(k.client.options.IdleTimeout) }

// patient tells whether a wait that was to last until by, and has ended with err, goes on: it only ended to look.
func (k *conn) patient(err error, by int64) (bool, error) {
	if k.gone == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false, err
	}
	if now := clock(); now >= by || k.end != 0 && now >= k.end {
		return false, err
	}
	if k.gone() {
		return false, ErrGone
	}
	return true, nil
}

// read waits for a piece of a body and reads it without the buffer.
func (k *conn) read(p []byte) (n int, err error) {
	for by, again := k.idle(), true; again; {
		if err = k.within(clock(), by); err == nil {
			if n, err = k.socket.Read(p); n > 0 {
				return n, err
			}
		}
		again, err = k.patient(err, by)
	}
	return 0, err
}

// receive waits for bytes, until by, and buffers them behind those that are there.
func (k *conn) receive(by int64) (err error) {
	for again := true; again; {
		if err = k.within(clock(), by); err == nil {
			err = k.fetch()
		}
		again, err = k.patient(err, by)
	}
	return err
}

// fetch is receive until the read deadline.
func (k *conn) fetch() error {
	if k.raw != nil && !k.secure {
		return k.await()
	}
	if k.buf == nil {
		k.buf = borrow()
	}
	n, err := k.socket.Read(k.buf.b[k.w:])
	return k.came(n, err)
}

// came takes note of the result of a read into the buffer.
func (k *conn) came(n int, err error) error {
	k.w += n
	if n > 0 {
		k.received = true
		return nil
	}
	if k.r == k.w {
		k.release()
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// ask sends the first n bytes of out, which are the whole request, gives it back and waits for the first bytes of the answer. A kept
// connection is looked at first: the target may have closed it, and what it has sent without being asked is no answer to this call.
func (k *conn) ask(out *buffer, n int, call *Call) error {
	if k.raw != nil && !k.secure {
		k.headBy = k.since + int64(k.client.options.HeaderTimeout)
		if err := k.within(k.since, k.headBy); err != nil {
			out.giveBack()
			return err
		}
		return k.exchange(out, n, call)
	}
	if k.kept && !k.silent() {
		out.giveBack()
		return errKept
	}
	_, err := k.write(out.b[:n], call)
	out.giveBack()
	return err
}

// silent tells whether a kept connection is still open and the target has said nothing on it.
func (k *conn) silent() bool {
	if k.raw != nil && !k.quiet() {
		return false
	}
	if !k.secure {
		return true
	}
	// What TLS has read already is not seen from outside; a read that is too late before it begins shows it.
	var one [1]byte
	_ = k.socket.SetReadDeadline(time.Unix(1, 0))
	k.readBy = 0
	n, err := k.socket.Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// tick is how often a write that the target does not take looks whether there is an answer.
const tick = 50 * time.Millisecond

// write sends p. It says stop if the target has answered so that the rest is useless.
func (k *conn) write(p []byte, call *Call) (stop bool, err error) {
	last := clock()
	looked := last
	for len(p) > 0 {
		now := clock()
		limit := last + int64(k.client.options.IdleTimeout)
		if k.end != 0 {
			limit = min(limit, k.end)
		}
		if now >= limit {
			return false, os.ErrDeadlineExceeded
		}
		if !k.secure { // TLS cannot go on after a write that was cut
			limit = min(limit, now+int64(tick))
		}
		_ = k.socket.SetWriteDeadline(at(limit))
		n, err := k.socket.Write(p)
		p = p[n:]
		if n > 0 || k.secure {
			k.sent, last = true, clock()
		}
		switch {
		case err == nil:
		case k.secure || !errors.Is(err, os.ErrDeadlineExceeded):
			return k.late(err)
		default:
			if stop, err := k.heard(call); stop || err != nil {
				return stop, err
			}
			if now-looked > patience/2 && k.gone != nil {
				if looked = now; k.gone() {
					return false, ErrGone
				}
			}
		}
	}
	return false, nil
}

// late is called when the request cannot be sent any more: the answer may have come before the end.
func (k *conn) late(err error) (stop bool, _ error) {
	if k.kept && !k.sent {
		return false, err
	}
	if some, _ := k.poll(); some {
		return true, nil
	}
	return false, err
}

// poll buffers what has come without waiting for it.
func (k *conn) poll() (answered bool, err error) {
	switch {
	case k.w > k.r:
		return true, nil
	case k.raw == nil || k.secure && k.quiet():
		return false, nil
	case !k.secure:
		return k.take()
	}
	if k.buf == nil {
		k.buf = borrow()
	}
	_ = k.socket.SetReadDeadline(time.Now().Add(time.Millisecond)) // there are bytes, but perhaps not of the answer
	k.readBy = 0
	err = k.came(k.socket.Read(k.buf.b))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// begin readies the connection for a call.
func (k *conn) begin(end int64, gone func() bool) {
	k.gone = gone
	k.end, k.sent, k.partial, k.drawn, k.received, k.headBy, k.interims, k.ahead = end, false, false, false, false, 0, 0, 0
}

// done ends the call over this connection; clean says that it was read to its end and the target keeps it.
func (k *conn) done(clean bool) {
	clean = clean && k.r == k.w && !k.partial
	k.release()
	k.gone = nil
	if !clean {
		k.client.drop(k)
		return
	}
	k.kept = true
	k.client.keep(k)
}
