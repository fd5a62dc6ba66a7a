package swarm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is a server in the test: it upgrades every connection, hands it to serve, and closes it when serve returns.
type wire struct {
	addr string
	mu   sync.Mutex
	open []net.Conn
}

func listen(t *testing.T, serve func(conn net.Conn, in *bufio.Reader)) *wire {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: listener.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		w.hangUp()
		group.Wait()
	})
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				w.mu.Lock()
				w.open = append(w.open, conn)
				w.mu.Unlock()
				fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				serve(conn, in)
			})
		}
	})
	return w
}

// tell sends a text message to every connection in pieces, so that clients have to put it together.
func (w *wire) tell(t *testing.T, text string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.open {
		frame := fromServer(opText, text)
		for _, piece := range [][]byte{frame[:1], frame[1:3], frame[3:]} {
			if _, err := conn.Write(piece); err != nil {
				t.Error(err)
			}
		}
	}
}

func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.open {
		_ = conn.Close()
	}
	w.open = nil
}

func fromServer(opcode byte, text string) []byte {
	b := []byte{0x80 | opcode}
	if len(text) < 126 {
		b = append(b, byte(len(text)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(len(text)))
	}
	return append(b, text...)
}

// heard reads one message of a client.
func heard(in *bufio.Reader) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(in, head); err != nil {
		return "", err
	}
	length, extra := int(head[1]&0x7f), 4 // the mask, which is zero
	if length == 126 {
		extra += 2
	}
	head = make([]byte, extra)
	if _, err := io.ReadFull(in, head); err != nil {
		return "", err
	}
	if length == 126 {
		length = int(binary.BigEndian.Uint16(head))
	}
	text := make([]byte, length)
	_, err := io.ReadFull(in, text)
	return string(text), err
}

// hold waits until the client hangs up.
func hold(_ net.Conn, in *bufio.Reader) {
	for {
		if _, err := in.ReadByte(); err != nil {
			return
		}
	}
}

// master gives orders to a swarm.
type master struct {
	t      *testing.T
	orders *os.File
	lines  *bufio.Scanner
}

func begin(t *testing.T) *master {
	t.Helper()
	in, orders, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reports, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- Run(in, out)
		_ = out.Close()
	}()
	t.Cleanup(func() {
		_ = orders.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, _ = in.Close(), reports.Close()
	})
	if err := reports.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &master{t: t, orders: orders, lines: bufio.NewScanner(reports)}
}

func (m *master) order(o Order) {
	m.t.Helper()
	line, err := json.Marshal(o)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.orders.Write(append(line, '\n')); err != nil {
		m.t.Fatal(err)
	}
}

// report is the next one.
func (m *master) report() Report {
	m.t.Helper()
	if !m.lines.Scan() {
		m.t.Fatal("no report: ", m.lines.Err())
	}
	var r Report
	if err := json.Unmarshal(m.lines.Bytes(), &r); err != nil {
		m.t.Fatal(err)
	}
	return r
}

func (m *master) ready() {
	m.t.Helper()
	if r := m.report(); !r.Ready {
		m.t.Fatalf("not ready but %+v", r)
	}
}

func (m *master) reached(n uint32) {
	m.t.Helper()
	if r := m.report(); r.Reached != n {
		m.t.Fatalf("reached %d but %+v", n, r)
	}
}

func (m *master) tally() Tally {
	m.t.Helper()
	m.order(Order{Tally: true})
	r := m.report()
	if r.Tally == nil {
		m.t.Fatalf("no tally but %+v", r)
	}
	return *r.Tally
}

func TestEveryClientCountsWhatItReceives(t *testing.T) {
	w := listen(t, hold)
	m := begin(t)
	m.order(Order{Connect: &Plan{Addr: w.addr, Path: "/", Dialect: Plain, Count: 5, UnderWay: 2, Delays: true}})
	m.ready()
	w.tell(t, Payload(1, 300, Now()))
	m.reached(1)
	w.tell(t, Payload(2, 0, Now())+Payload(3, 0, Now()))
	m.reached(2)
	m.reached(3)
	got := m.tally()
	if got.P99 <= 0 || got.P99 > time.Minute {
		t.Errorf("delay p99 is %v", got.P99)
	}
	got.P50, got.P99 = 0, 0
	if want := (Tally{Connections: 5, Received: 15}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	w.tell(t, Payload(3, 0, Now()))
	w.tell(t, Payload(6, 0, Now()))
	m.reached(4) // passed over, so that a master does not wait for ever
	m.reached(5)
	m.reached(6)
	got = m.tally()
	if got.Received != 10 || got.Repeated != 5 || got.Missing != 10 {
		t.Errorf("%+v", got)
	}
	m.order(Order{Close: true})
	if r := m.report(); !r.Closed {
		t.Errorf("%+v", r)
	}
}

func TestALostConnectionIsAFailureUnlessItIsToReturn(t *testing.T) {
	w := listen(t, hold)
	m := begin(t)
	m.order(Order{Connect: &Plan{Addr: w.addr, Path: "/", Dialect: Plain, Count: 1, UnderWay: 1}})
	m.ready()
	w.hangUp()
	if r := m.report(); r.Failed == "" {
		t.Fatalf("%+v", r)
	}
	m.order(Order{Connect: &Plan{Addr: w.addr, Path: "/", Dialect: Plain, Count: 3, UnderWay: 1, Return: true}})
	m.ready()
	w.hangUp()
	m.ready()
	if got := m.tally(); got.Lost != 3 || got.Connections != 3 {
		t.Errorf("%+v", got)
	}
	m.order(Order{Cut: true})
	m.ready()
}

func TestARefusedHandshakeIsReported(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	m := begin(t)
	m.order(Order{Connect: &Plan{Addr: listener.Addr().String(), Path: "/", Dialect: Plain, Count: 1, UnderWay: 1}})
	if r := m.report(); !strings.Contains(r.Failed, "404") {
		t.Errorf("%+v", r)
	}
	m.order(Order{Connect: &Plan{Addr: "nowhere", Dialect: Plain}})
	if r := m.report(); r.Failed == "" {
		t.Errorf("%+v", r)
	}
	m.order(Order{Connect: &Plan{Addr: "127.0.0.1:1", Dialect: "Latin"}})
	if r := m.report(); !strings.Contains(r.Failed, "Latin") {
		t.Errorf("%+v", r)
	}
}

// A client that comes back says where it was, and what it missed comes with the answer.
func TestCentrifugeRecovers(t *testing.T) {
	said := make(chan string, 16)
	w := listen(t, func(conn net.Conn, in *bufio.Reader) {
		for {
			text, err := heard(in)
			if err != nil {
				return
			}
			said <- text
			switch {
			case strings.HasPrefix(text, `{"id":1,`):
				_, _ = conn.Write(fromServer(opText, `{"id":1,"connect":{"client":"c","ping":25,"pong":true}}`+"\n{}"))
			case strings.Contains(text, `"recover":true`):
				_, _ = conn.Write(fromServer(opText, `{"id":2,"subscribe":{"epoch":"ep","publications":[{"data":{"n":2},"offset":42}],"recovered":true,"offset":42,"was_recovering":true}}`))
			case strings.HasPrefix(text, `{"id":2,`):
				_, _ = conn.Write(fromServer(opText, `{"id":2,"subscribe":{"recoverable":true,"epoch":"ep","offset":40}}`))
			}
		}
	})
	m := begin(t)
	m.order(Order{Connect: &Plan{Addr: w.addr, Path: "/", Dialect: Centrifuge, Channel: "a", Count: 1, UnderWay: 1, Recover: true, Return: true, Secret: "s"}})
	m.ready()
	if first := <-said; !strings.HasPrefix(first, `{"id":1,"connect":{"token":"ey`) {
		t.Errorf("said %s", first)
	}
	for _, want := range []string{`{"id":2,"subscribe":{"channel":"a"}}`, `{}`} {
		if got := <-said; got != want {
			t.Errorf("said %s, not %s", got, want)
		}
	}
	w.tell(t, `{"push":{"channel":"a","pub":{"data":{"n":1},"offset":41}}}`)
	m.reached(1)
	m.order(Order{Cut: true})
	m.reached(2)
	m.ready()
	<-said
	want := `{"id":2,"subscribe":{"channel":"a","recover":true,"epoch":"ep","offset":41}}`
	for got := range said {
		if got == want {
			break
		}
		if got != "{}" {
			t.Fatalf("said %s, not %s", got, want)
		}
	}
	if got := m.tally(); got.Received != 2 || got.Missing+got.Repeated+got.Unrecovered != 0 {
		t.Errorf("%+v", got)
	}
}

func TestSocketIOIsSubscribedAfterItsAcknowledgement(t *testing.T) {
	answers := map[string]string{`40`: `40{"sid":"s","pid":"p"}`, `420["subscribe","a"]`: `430[]`, `40{"pid":"p","offset":"o1"}`: `40{"sid":"t","pid":"p"}`}
	w := listen(t, func(conn net.Conn, in *bufio.Reader) {
		_, _ = conn.Write(fromServer(opText, `0{"sid":"e","upgrades":[],"pingInterval":25000}`))
		for {
			text, err := heard(in)
			if err != nil {
				return
			}
			if answer := answers[text]; answer != "" {
				_, _ = conn.Write(fromServer(opText, answer))
			}
		}
	})
	m := begin(t)
	m.order(Order{Connect: &Plan{Addr: w.addr, Path: "/", Dialect: SocketIO, Channel: "a", Count: 1, UnderWay: 1, Recover: true, Return: true}})
	m.ready()
	w.tell(t, `42["pub",{"n":1,"text":"x"},"o1"]`)
	m.reached(1)
	m.order(Order{Cut: true})
	m.ready()
	if got := m.tally(); got.Unrecovered != 0 || got.Received != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAStalledClientLeavesBytesUnread(t *testing.T) {
	w := listen(t, hold)
	m := begin(t)
	m.order(Order{Connect: &Plan{Addr: w.addr, Path: "/", Dialect: Plain, Count: 2, UnderWay: 2, Stalled: 1}})
	m.ready()
	w.tell(t, Payload(1, 0, Now()))
	m.reached(1)
	if got := m.tally(); got.Connections != 1 || got.Received != 1 || got.Unread == 0 {
		t.Errorf("%+v", got)
	}
}

func FuzzNext(f *testing.F) {
	f.Add(fromServer(opText, "hello"))
	f.Add(fromServer(opPing, strings.Repeat("x", 300)))
	f.Add([]byte{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(Frame(nil, opText, []byte("masked")))
	f.Fuzz(func(t *testing.T, b []byte) {
		opcode, payload, size, err := Next(b)
		if err == nil && size > 0 && (size > len(b) || len(payload) > size-2 || opcode == 0 || !bytes.HasSuffix(b[:size], payload)) {
			t.Errorf("opcode %d, %d bytes of %d, size %d", opcode, len(payload), len(b), size)
		}
	})
}
