// Package swarm is many WebSocket clients in one process with little memory and CPU of their own: one thread, one epoll, one buffer.
// It is told what to do by lines of JSON (Order) and answers with lines of JSON (Report). Each client checks that it receives every
// publication once and in order: publications carry numbers that count up from 1.
package swarm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bufferSize = 256 << 10
	pause      = 50 * time.Millisecond // before a lost connection is made again after a failure
	ordersSlot = -1                    // of the epoll event that orders have come
)

type swarm struct {
	in, out *os.File
	lines   []byte // of orders, the last one in part
	epoll   int

	plan     Plan
	talk     dialect
	addr     netip.AddrPort
	source   netip.Addr
	tokens   []string
	mark     []byte // what stands before the number of a publication
	clients  []client
	sessions map[int32]*session

	todo    []int32 // slots to dial now
	later   []retry // slots to dial later, soonest first
	opening int     // handshakes under way
	joined  int     // clients that are ready
	settled bool    // Ready was reported
	began   int64   // when clients that are to be ready began

	epoch string // of the channel
	base  uint64 // offset of the channel when its publications were numbered 0

	tally   tallying
	reached []uint32 // how many clients have had a publication, from the first after Plan.Seen
	events  []Report

	now     int64
	buffer  []byte
	scratch []byte
}

type retry struct {
	slot int32
	at   int64
}

// Now is the system's monotonic clock in nanoseconds, the same in all processes.
func Now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// Run follows orders until in ends. in has to be a pipe or a socket.
func Run(in, out *os.File) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(epoll)
	s := &swarm{in: in, out: out, epoll: epoll, buffer: make([]byte, bufferSize), scratch: make([]byte, 0, 4096)}
	defer s.end()
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: ordersSlot}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(in.Fd()), &event); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(epoll, events, s.wait())
		if err != nil && err != unix.EINTR {
			return err
		}
		orders := false
		for _, event := range events[:max(n, 0)] {
			if event.Fd == ordersSlot {
				orders = true
			} else {
				s.serve(&s.clients[event.Fd])
			}
		}
		if orders { // last: they may make other clients
			if err := s.read(); err != nil {
				if err == io.EOF {
					return nil
				}
				return err
			}
		}
		s.open()
		for _, report := range s.events {
			if err := s.report(report); err != nil {
				return err
			}
		}
		s.events = s.events[:0]
	}
}

// wait is how long epoll may wait, in ms: until the next connection is to be made again.
func (s *swarm) wait() int {
	if len(s.later) == 0 {
		return -1
	}
	return max(0, int(time.Duration(s.later[0].at-Now()).Milliseconds())+1)
}

func (s *swarm) read() error {
	n, err := unix.Read(int(s.in.Fd()), s.buffer)
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	s.lines = append(s.lines, s.buffer[:n]...)
	for {
		line, rest, whole := bytes.Cut(s.lines, []byte("\n"))
		if !whole {
			return nil
		}
		var order Order
		err := json.Unmarshal(line, &order)
		s.lines = rest
		if err == nil {
			err = s.obey(order)
		}
		if err != nil {
			s.events = append(s.events, Report{Failed: err.Error()})
		}
	}
}

func (s *swarm) obey(order Order) error {
	switch {
	case order.Connect != nil:
		return s.connect(*order.Connect)
	case order.Tally:
		s.events = append(s.events, Report{Tally: s.take()})
	case order.Cut:
		s.settled, s.began = false, Now()
		for i := range s.clients {
			s.shut(&s.clients[i])
		}
		s.todo, s.later, s.opening = s.todo[:0], s.later[:0], 0
		for i := range s.clients {
			s.todo = append(s.todo, int32(i))
		}
	case order.Close:
		s.end()
		s.events = append(s.events, Report{Closed: true})
	}
	return nil
}

func (s *swarm) connect(plan Plan) (err error) {
	s.end()
	s.plan, s.talk = plan, dialects[plan.Dialect]
	if s.talk == nil {
		return fmt.Errorf("swarm: unknown dialect %q", plan.Dialect)
	}
	if s.addr, err = address(plan.Addr); err != nil {
		return err
	}
	if s.source = (netip.Addr{}); plan.Source != "" {
		if s.source, err = netip.ParseAddr(plan.Source); err != nil || !s.source.Is4() {
			return fmt.Errorf("swarm: source %q is no IPv4 address", plan.Source)
		}
	}
	if s.mark = []byte(`"n":`); plan.Offsets {
		s.mark = []byte(`"offset":`)
	}
	s.tokens = nil
	if plan.Secret != "" {
		s.tokens = make([]string, plan.Count)
		for i := range s.tokens {
			s.tokens[i] = Token(plan.Secret, fmt.Sprintf("user-%s-%d", plan.Source, i))
		}
	}
	s.sessions, s.epoch, s.base = map[int32]*session{}, "", 0
	s.tally, s.reached, s.settled = tallying{}, nil, false
	s.clients = make([]client, plan.Count)
	for i := range s.clients {
		s.clients[i] = client{slot: int32(i), fd: -1, seen: plan.Seen, stalls: i >= plan.Count-plan.Stalled}
		s.todo = append(s.todo, int32(i))
	}
	s.began = Now()
	return nil
}

// end resets all connections.
func (s *swarm) end() {
	for i := range s.clients {
		s.shut(&s.clients[i])
	}
	s.todo, s.later, s.opening = s.todo[:0], s.later[:0], 0
}

// open dials as many as may be under way.
func (s *swarm) open() {
	for len(s.later) > 0 && s.later[0].at <= Now() {
		s.todo = append(s.todo, s.later[0].slot)
		s.later = s.later[1:]
	}
	for len(s.todo) > 0 && s.opening < s.plan.UnderWay {
		c := &s.clients[s.todo[0]]
		s.todo = s.todo[1:]
		s.opening++
		if err := s.dial(c); err != nil {
			s.failed(c, err)
		}
	}
}

func (s *swarm) serve(c *client) {
	if err := s.handle(c); err != nil {
		s.failed(c, err)
	}
}

// failed ends a connection, and makes it again where that is the plan.
func (s *swarm) failed(c *client, err error) {
	if c.state == ready {
		s.tally.Lost++
	} else {
		s.opening--
	}
	s.shut(c)
	if !s.plan.Return {
		s.events = append(s.events, Report{Failed: err.Error()})
		return
	}
	if s.settled {
		s.settled, s.began = false, Now()
	}
	s.later = append(s.later, retry{c.slot, Now() + int64(pause)})
}

// ready is called when a client is subscribed.
func (s *swarm) ready(c *client) {
	c.state, c.was = ready, true
	s.opening--
	if c.stalls {
		_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, int(c.fd), nil)
	}
	if s.joined++; s.joined == s.plan.Count && !s.settled {
		s.settled = true
		s.events = append(s.events, Report{Ready: true, Began: s.began})
	}
}

func (s *swarm) token(c *client) string {
	if s.tokens == nil {
		return ""
	}
	return s.tokens[c.slot]
}

func (s *swarm) session(c *client) *session {
	found := s.sessions[c.slot]
	if found == nil {
		found = &session{}
		s.sessions[c.slot] = found
	}
	return found
}
