package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/live/swarm"
	"github.com/headrace/headrace/bench/load"
)

const (
	acknowledging = 1_000 // publications a second
	publishers    = 64    // connections that publish
	witnesses     = 10    // clients that see every publication
)

// acknowledge is scenario 5: publications on a channel with history from many connections, in an open loop, until each is acknowledged.
func (b *bench) acknowledge(ctx context.Context, c *contender) error {
	if c.title != own {
		for _, f := range []*figure{postP50, postP99, sendP50, sendP99} {
			b.say(f, c.title, "not on disk")
		}
		return nil
	}
	s, err := start(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	crowd, err := gather(witnesses)
	if err != nil {
		return err
	}
	defer crowd.disperse()
	plan := s.plan(durable, witnesses)
	plan.Offsets = true
	if _, err := crowd.connect(ctx, plan); err != nil {
		return err
	}
	count := int(acknowledging * b.rate.Seconds())
	data := swarm.Payload(1, small, swarm.Now())
	result, err := load.Open(ctx, acknowledging, load.Plan{
		Addr: s.door, Connections: publishers, Requests: count,
		Next:  func(_ int, into []byte) []byte { return s.publish(into, durable, "", data) },
		Check: func(_, status int, body []byte, _, _ time.Time) error { return accepted(status, body, nil) },
	})
	if err != nil {
		return err
	}
	if result.Error != nil {
		return result.Error
	}
	b.note(postP50, s.title, milli(result.Latency.Percentile(50)))
	b.note(postP99, s.title, milli(result.Latency.Percentile(99)))
	if err := crowd.reach(ctx, count); err != nil {
		return err
	}
	delays, err := s.send(ctx, durable, data, count)
	if err != nil {
		return err
	}
	b.note(sendP50, s.title, milli(delays.Percentile(50)))
	b.note(sendP99, s.title, milli(delays.Percentile(99)))
	if err := crowd.reach(ctx, 2*count); err != nil {
		return err
	}
	_, err = crowd.exact(ctx, witnesses, 2*count)
	return err
}

// send has clients publish, and measures from when each publication was due to its reply.
func (s *server) send(ctx context.Context, channel, data string, count int) (*load.Histogram, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	clients := make([]*speaker, publishers)
	for i := range clients {
		client, err := s.speaker()
		if err != nil {
			return nil, err
		}
		defer client.close()
		clients[i] = client
	}
	const first = 10 // ids of commands before it are those of the handshake
	var (
		start    = time.Now()
		gap      = time.Second / acknowledging
		answered = make(chan error, publishers)
		delays   = make([]load.Histogram, publishers)
	)
	for i, client := range clients {
		go func() {
			for left := (count - i + publishers - 1) / publishers; left > 0; {
				lines, err := client.hear()
				if err != nil {
					answered <- err
					return
				}
				now := time.Now()
				for line := range strings.SplitSeq(lines, "\n") {
					rest, isReply := strings.CutPrefix(line, `{"id":`)
					id, _, _ := strings.Cut(rest, ",")
					n, err := strconv.Atoi(id)
					if !isReply || err != nil || strings.Contains(line, `"error"`) {
						answered <- fmt.Errorf("publish of a client: %.300s", line)
						return
					}
					delays[i].Record(now.Sub(start.Add(time.Duration(n-first) * gap)))
					left--
				}
			}
			answered <- nil
		}()
	}
	for n := range count {
		if wait := time.Until(start.Add(time.Duration(n) * gap)); wait > 0 {
			nap(wait)
		}
		if err := clients[n%publishers].say(fmt.Sprintf(`{"id":%d,"publish":{"channel":%q,"data":%s}}`, n+first, channel, data)); err != nil {
			return nil, err
		}
	}
	total := &load.Histogram{}
	for range clients {
		select {
		case err := <-answered:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for i := range delays {
		total.Merge(&delays[i])
	}
	return total, nil
}
