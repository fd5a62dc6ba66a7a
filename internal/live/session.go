package live

import (
	"net/netip"
	"sync"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/wire"
	"github.com/headrace/headrace/internal/park"
	"github.com/headrace/headrace/internal/websocket"
)

// transport is the door a connection came through.
type transport uint8

const (
	transportWebSocket transport = iota
	transportSSE
	transportStream
	transportUniSSE
	transportUniWebSocket
	transports // how many there are
)

var transportNames = [transports]string{"websocket", "sse", "http_stream", "uni_sse", "uni_websocket"}

func (t transport) String() string { return transportNames[t] }

// The life of a Session.
const (
	fresh      uint8 = iota // nothing but a handshake
	connecting              // the connect command is being answered
	connected
	refused // the connect command was refused; another command ends the connection
	over
)

// Session is a client's connection. It has no goroutine and, while idle, no buffer. What changes is guarded by mu; commands are handled one after
// another (see commands).
type Session struct {
	live *Live
	conn *park.Conn
	who  *who // until the connect command whom the handshake told of, or nil
	subs []*fanout.Subscription
	out  *outbox // nil while the socket takes everything
	more *more   // nil for most
	next *Session

	reader websocket.Reader

	id   clientID
	slot uint32

	// Times in ticks since the plane was opened; 0 is never.
	pingAt uint32 // or, before the connect command, the time for it
	pongBy uint32
	endsAt uint32 // of the identity
	subsAt uint32 // the first subscription that ends

	spent   float32 // commands of the bucket
	spentAt uint32

	mu        sync.Mutex
	transport transport
	format    wire.Format
	state     uint8
	corks     uint8 // turns that hold what channels send back until their replies are written
	busy      uint8 // commands that wait for a function
	blocked   bool  // the socket takes nothing
	pinged    bool  // a pong may come
	frames    bool  // pings are WebSocket frames, for tools that do not know the protocol
	stuck     bool  // nothing was written since the last ping
	clean     bool  // the session has left everything
	named     bool  // the registry has its user
}

// who is the identity of a client; it is replaced, never changed.
type who struct {
	user    string
	info    []byte // JSON, shown to others
	claims  []byte // JSON of the token, or of the identity of the handshake; nil without one
	method  string // how the user is known, as Identity has it; "" if nothing was shown
	key     string // id of the API key of the handshake; "" without one
	expires int64  // Unix seconds; 0 is never
	refresh bool   // the client brings the next token
}

var nobody = &who{}

// more is what only some sessions have.
type more struct {
	commands sync.Mutex // held while commands of an emulated connection are handled
	secret   [16]byte   // of an emulated connection
	joining  []*joining
	buckets  map[string]*bucket // publications by namespace
	wanted   []string           // channels that a one-way client asked for
	since    since              // and where it was in them
	places   []place            // of a one-way client over SSE: where it is
	headers  map[string]string  // of the handshake, until the app has been asked about the connection
	client   netip.Addr         // of a client behind a proxy
}

// joining is a subscription that is being asked for.
type joining struct {
	channel   string
	cancelled bool
}

func (s *Session) extra() *more {
	if s.more == nil {
		s.more = &more{}
	}
	return s.more
}

// find is the subscription to a channel. It is called with s.mu held.
func (s *Session) find(channel string) *fanout.Subscription {
	for _, sub := range s.subs {
		if sub.Channel.Name == channel {
			return sub
		}
	}
	return nil
}

func (s *Session) identity() *who {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.who == nil {
		return nobody
	}
	return s.who
}

// info is what others see of the client; sub is its subscription to the channel, or nil.
func (s *Session) info(sub *fanout.Subscription) *protocol.ClientInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &protocol.ClientInfo{Client: s.id.String()}
	if s.who != nil {
		i.User, i.ConnInfo = s.who.user, s.who.info
	}
	if sub != nil && sub.Extra != nil {
		i.ChanInfo = sub.Extra.Info
	}
	return i
}

// connected tells whether the client was let in and is still there.
func (s *Session) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == connected
}

// uni tells whether the client cannot send commands.
func (s *Session) uni() bool { return s.format&wire.Uni != 0 }

// end disconnects the client. It may be called with locks of channels held.
func (s *Session) end(d *Disconnect) {
	s.mu.Lock()
	s.endLocked(d)
	s.mu.Unlock()
}

func (s *Session) endLocked(d *Disconnect) {
	if s.state == over {
		return
	}
	s.state = over
	s.live.metrics.disconnected(d.Code)
	if s.conn == nil {
		return
	}
	if !s.blocked {
		if s.format.WebSocket() {
			_ = s.conn.Write(websocket.AppendClose(nil, websocket.Code(d.Code), d.Reason))
		} else if m, err := s.format.Push(&protocol.Push{Disconnect: &protocol.Disconnect{Code: d.Code, Reason: d.Reason}}); err == nil {
			_ = s.conn.Write(s.format.Append(nil, m))
		}
	}
	s.conn.Close(d)
	go s.leaveAll()
}

// leaveAll takes the session out of its channels and the registry. Only the first call does.
func (s *Session) leaveAll() {
	s.mu.Lock()
	if s.clean {
		s.mu.Unlock()
		return
	}
	s.clean, s.state = true, over
	subs, named := s.subs, s.named
	s.subs = nil
	s.drain()
	remote := s.conn.Remote().Addr()
	s.mu.Unlock()
	for _, sub := range subs {
		s.live.leave(sub)
	}
	user := ""
	if named {
		user = s.identity().user
	}
	s.live.registry.remove(s, remote, user)
}

// remove takes a subscription off the session's list. It is called with s.mu held; false if it is not there.
func (s *Session) remove(sub *fanout.Subscription) bool {
	for i, other := range s.subs {
		if other == sub {
			end := len(s.subs) - 1
			s.subs[i] = s.subs[end]
			s.subs[end] = nil
			s.subs = s.subs[:end]
			return true
		}
	}
	return false
}

// leave ends a subscription that its session has forgotten already.
func (l *Live) leave(sub *fanout.Subscription) {
	last := l.hub.Unsubscribe(sub)
	if sub.Flags()&fanout.Announced != 0 && !l.stopping.Load() { // all leave then, and come back
		l.announce(fanout.Leave, sub)
	}
	if last {
		l.feeds.release(sub.Channel.Name)
	}
}

// announce tells the channel that a client came or went.
func (l *Live) announce(kind fanout.Kind, sub *fanout.Subscription) {
	s := sub.Receiver.(*Session)
	l.hub.Publish(sub.Channel.Name, &fanout.Item{Kind: kind, Info: s.info(sub), At: l.now()})
}
