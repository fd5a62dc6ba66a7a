package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/live/swarm"
	"github.com/headrace/headrace/bench/load"
)

// publisher posts publications 1, 2, 3… of a channel.
type publisher struct {
	*server
	conn    *load.Conn
	channel string
	size    int // bytes of data
	n       int // the last one
}

func (s *server) publisher(channel string, size int) (*publisher, error) {
	conn, err := load.Dial(s.door)
	return &publisher{server: s, conn: conn, channel: channel, size: size}, err
}

func (p *publisher) close() { _ = p.conn.Close() }

// one publishes and waits for the answer.
func (p *publisher) one() error { return p.burst(1) }

// burst publishes count in one write, as pipelined requests, and waits for all answers.
func (p *publisher) burst(count int) error {
	var requests []byte
	for range count {
		p.n++
		requests = p.publish(requests, p.channel, "", swarm.Payload(p.n, p.size, swarm.Now()))
	}
	_ = p.conn.Deadline(time.Now().Add(time.Minute))
	if _, err := p.conn.Write(requests); err != nil {
		return err
	}
	for range count {
		if err := accepted(p.conn.Answer()); err != nil {
			return err
		}
	}
	return nil
}

// steadily publishes at a rate until ctx ends.
func (p *publisher) steadily(ctx context.Context, rate float64) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := p.one(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// surely publishes one, again until the server has acknowledged it: it may be down meanwhile. The key tells the server that it is the same one.
func (p *publisher) surely(ctx context.Context) error {
	p.n++
	request := p.publish(nil, p.channel, fmt.Sprintf("publication-%d", p.n), swarm.Payload(p.n, p.size, swarm.Now()))
	for ctx.Err() == nil {
		var err error
		if p.conn == nil {
			p.conn, err = load.Dial(p.door)
		}
		if err == nil {
			_ = p.conn.Deadline(time.Now().Add(10 * time.Second))
			err = accepted(p.conn.Do(request))
			var refused *refusal
			if err == nil || errors.As(err, &refused) && refused.status != 503 { // 503: not up yet
				return err
			}
			_ = p.conn.Close()
		}
		p.conn = nil
		if err := pass(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// refusal is an answer other than success.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("publish: status %d: %.500s", r.status, r.body) }

func accepted(status int, body []byte, err error) error {
	if err == nil && (status != 200 || bytes.Contains(body, []byte(`"error":{`))) {
		err = &refusal{status, string(body)}
	}
	return err
}
