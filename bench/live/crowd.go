package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/headrace/headrace/bench/live/swarm"
	"github.com/headrace/headrace/bench/rig"
)

const (
	most     = 5_000 // connections of one swarm
	underWay = 256   // handshakes at a time, of all swarms
)

// crowd is clients in several processes, because one process may not open files enough.
type crowd struct {
	members []*member
	news    chan news
	used    int // source addresses
}

type member struct {
	process *process
	orders  io.WriteCloser
	ready   *swarm.Report // the last one that said so
	reached uint32
	tally   *swarm.Tally
	closed  bool
}

// news is a report of a member, or how its output ended.
type news struct {
	from   *member
	report swarm.Report
	err    error
}

// gather starts swarms enough for count connections.
func gather(count int) (*crowd, error) {
	c := &crowd{news: make(chan news, 1024)}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for i := range (count + most - 1) / most {
		p, log, err := command(fmt.Sprintf("swarm-%d", i), buildDir, nil, self, "swarm")
		if err != nil {
			c.disperse()
			return nil, err
		}
		orders, err := p.cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, in, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		p.cmd.Stdout = in
		err = p.start()
		_ = log.Close()
		_ = in.Close()
		if err != nil {
			c.disperse()
			return nil, err
		}
		m := &member{process: p, orders: orders}
		c.members = append(c.members, m)
		go c.listen(m, out)
	}
	return c, nil
}

// listen passes on what a member reports until it ends.
func (c *crowd) listen(m *member, out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n = news{from: m}
		n.err = json.Unmarshal(lines.Bytes(), &n.report)
		c.news <- n
	}
	c.news <- news{from: m, err: errors.New("a swarm ended")}
}

// disperse ends the swarms and their connections.
func (c *crowd) disperse() {
	for _, m := range c.members {
		_ = m.orders.Close()
		for !m.process.exited() {
			select {
			case <-m.process.dead:
			case <-c.news: // nobody listens any more
			}
		}
	}
}

func (c *crowd) order(m *member, o swarm.Order) error {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = m.orders.Write(append(line, '\n'))
	}
	return err
}

func (c *crowd) all(o swarm.Order) error {
	for _, m := range c.members {
		if err := c.order(m, o); err != nil {
			return err
		}
	}
	return nil
}

// until takes reports until all members are done.
func (c *crowd) until(ctx context.Context, limit time.Duration, what string, done func(*member) bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		missing := 0
		for _, m := range c.members {
			if !done(m) {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case n := <-c.news:
			if n.err != nil {
				return fmt.Errorf("%w:\n%s", n.err, n.from.process.tail())
			}
			switch r := n.report; {
			case r.Failed != "":
				return fmt.Errorf("a client that was to be %s: %s", what, r.Failed)
			case r.Ready:
				n.from.ready = &r
			case r.Tally != nil:
				n.from.tally = r.Tally
			case r.Closed:
				n.from.closed = true
			default:
				n.from.reached = max(n.from.reached, r.Reached)
			}
		case <-deadline.C:
			return fmt.Errorf("%d of %d swarms not %s after %v", missing, len(c.members), what, limit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connect opens the connections of a plan, shared among the members, and says how long it took.
func (c *crowd) connect(ctx context.Context, plan swarm.Plan) (time.Duration, error) {
	count := plan.Count
	for i, m := range c.members {
		share := plan
		share.Count = count/len(c.members) + min(1, max(0, count%len(c.members)-i))
		share.UnderWay = underWay / len(c.members)
		share.Stalled = 0
		if i == 0 {
			share.Stalled = plan.Stalled
		}
		share.Source = fmt.Sprintf("127.0.%d.%d", 1+c.used/250, 1+c.used%250)
		c.used++
		m.ready, m.reached = nil, plan.Seen
		if err := c.order(m, swarm.Order{Connect: &share}); err != nil {
			return 0, err
		}
	}
	return c.back(ctx)
}

// cut resets all connections. Clients whose plan is to return are on their way at once; back waits for them.
func (c *crowd) cut() error {
	c.leave()
	return c.all(swarm.Order{Cut: true})
}

// leave forgets that the clients were ready: a server that dies takes them all.
func (c *crowd) leave() {
	for _, m := range c.members {
		m.ready = nil
	}
}

// back waits until all are subscribed and says how long that took from the first that was not.
func (c *crowd) back(ctx context.Context) (time.Duration, error) {
	err := c.until(ctx, 2*time.Minute, "subscribed", func(m *member) bool { return m.ready != nil })
	if err != nil {
		return 0, err
	}
	began, ended := c.members[0].ready.Began, int64(0)
	for _, m := range c.members {
		began, ended = min(began, m.ready.Began), max(ended, m.ready.At)
	}
	return time.Duration(ended - began), nil
}

// reach waits until every client has had publication n.
func (c *crowd) reach(ctx context.Context, n int) error {
	return c.until(ctx, time.Minute, fmt.Sprintf("told of publication %d", n), func(m *member) bool { return m.reached >= uint32(n) })
}

// count ends a tally and begins the next. Percentiles are those of the slowest member.
func (c *crowd) count(ctx context.Context) (sum swarm.Tally, err error) {
	for _, m := range c.members {
		m.tally = nil
	}
	if err := c.all(swarm.Order{Tally: true}); err != nil {
		return sum, err
	}
	if err := c.until(ctx, time.Minute, "counted", func(m *member) bool { return m.tally != nil }); err != nil {
		return sum, err
	}
	for _, m := range c.members {
		t := m.tally
		sum.Connections += t.Connections
		sum.Received += t.Received
		sum.Repeated += t.Repeated
		sum.Missing += t.Missing
		sum.Behind += t.Behind
		sum.Lost += t.Lost
		sum.Unrecovered += t.Unrecovered
		sum.Unread += t.Unread
		sum.P50, sum.P99 = max(sum.P50, t.P50), max(sum.P99, t.P99)
	}
	return sum, nil
}

// exact is an error unless each of clients has received each of publications once and in order, since the last count.
func (c *crowd) exact(ctx context.Context, clients, publications int) (swarm.Tally, error) {
	t, err := c.count(ctx)
	if err == nil && (t.Received != clients*publications || t.Repeated+t.Missing+t.Behind > 0) {
		err = fmt.Errorf("delivery is not exact: %d clients received %d publications of %d: %d repeated, %d missing, %d clients behind",
			clients, t.Received, clients*publications, t.Repeated, t.Missing, t.Behind)
	}
	return t, err
}

// close resets all connections and waits until the server has noticed.
func (c *crowd) close(ctx context.Context, s *server) error {
	for _, m := range c.members {
		m.closed = false
	}
	if err := c.all(swarm.Order{Close: true}); err != nil {
		return err
	}
	if err := c.until(ctx, time.Minute, "closed", func(m *member) bool { return m.closed }); err != nil {
		return err
	}
	return rig.Poll(ctx, 30*time.Second, 20*time.Millisecond, "rid of its connections", func() (bool, error) { return files(s.pid()) < 200, nil })
}
