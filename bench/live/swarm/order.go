package swarm

import (
	"encoding/json"
	"time"

	"github.com/headrace/headrace/bench/load"
)

// Order is a line of JSON that a swarm reads: do this.
type Order struct {
	Connect *Plan `json:",omitempty"` // open connections; Ready follows
	Tally   bool  `json:",omitempty"` // report the Tally and begin a new one
	Cut     bool  `json:",omitempty"` // reset every connection at once; with Plan.Return, Ready follows when all are back
	Close   bool  `json:",omitempty"` // reset every connection for good; Closed follows
}

// Plan is what the connections of a swarm do.
type Plan struct {
	Addr     string // host:port of the server
	Path     string // of the WebSocket, with query
	Dialect  string
	Channel  string
	Count    int    // connections
	UnderWay int    // handshakes at a time
	Source   string // address to connect from: one address has 28,000 ports
	Secret   string // of a token (JWT, HS256) for each connection, made before the first connects; "" is no token
	InQuery  bool   // the token is the parameter token of the address
	Recover  bool   // ask for what was missed
	Return   bool   // a connection that is lost is made again
	Seen     uint32 // publications that were made before
	Offsets  bool   // publications are numbered by "offset" rather than by "n" of their data
	Delays   bool   // measure the time from "at" to here
	Stalled  int    // so many of the connections stop reading once they are subscribed, and are not counted
}

// Report is a line of JSON that a swarm writes. At is Now when it happened.
type Report struct {
	At      int64
	Ready   bool   `json:",omitempty"` // every connection is subscribed
	Began   int64  `json:",omitempty"` // with Ready: Now when the first dialed, was cut, or was lost
	Reached uint32 `json:",omitempty"` // every connection has had this publication
	Closed  bool   `json:",omitempty"`
	Tally   *Tally `json:",omitempty"`
	Failed  string `json:",omitempty"` // a connection was refused or lost, and Plan.Return is not set, or an order is not understood
}

// Tally is what was received since the last one.
type Tally struct {
	Connections int           // subscribed now
	Received    int           // publications, by all connections
	Repeated    int           // of them received before, or after a later one
	Missing     int           // publications that were passed over
	Behind      int           // connections that have not had the newest that any has
	Lost        int           // times a connection broke
	Unrecovered int           // times the server did not recover a subscription
	Unread      int           // bytes that wait at stalled connections, within this system
	P50, P99    time.Duration // delay, with Plan.Delays
}

// tallying is a Tally in the making.
type tallying struct {
	Tally
	delays load.Histogram
}

// report writes a line; the process that gives orders reads it.
func (s *swarm) report(r Report) error {
	r.At = Now()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.out.Write(append(line, '\n'))
	return err
}

// got counts publication n at a client.
func (s *swarm) got(c *client, n uint32) {
	s.tally.Received++
	if n <= c.seen {
		s.tally.Repeated++
		return
	}
	s.tally.Missing += int(n - c.seen - 1)
	for i := c.seen - s.plan.Seen; i < n-s.plan.Seen; i++ {
		if int(i) >= len(s.reached) {
			s.reached = append(s.reached, 0)
		}
		if s.reached[i]++; int(s.reached[i]) == s.plan.Count-s.plan.Stalled {
			s.events = append(s.events, Report{Reached: s.plan.Seen + i + 1})
		}
	}
	c.seen = n
}

func (s *swarm) delay(at uint64) { s.tally.delays.Record(time.Duration(uint64(s.now) - at)) }

// take ends a tally and begins the next.
func (s *swarm) take() *Tally {
	t := s.tally.Tally
	var newest uint32
	for i := range s.clients {
		newest = max(newest, s.clients[i].seen)
	}
	for i := range s.clients {
		c := &s.clients[i]
		switch {
		case c.stalled():
			t.Unread += unread(c.fd)
		case c.state == ready:
			t.Connections++
			fallthrough
		default:
			if c.seen < newest {
				t.Behind++
			}
		}
	}
	t.P50, t.P99 = s.tally.delays.Percentile(50), s.tally.delays.Percentile(99)
	s.tally = tallying{}
	return &t
}
