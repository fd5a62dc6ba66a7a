package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// steady is a scenario that asks as fast as it can.
type steady struct {
	name      string
	rate, cpu *figure
	// run asks for about this time; guess is the rate that is expected, 0 if nobody knows.
	run func(ctx context.Context, s *server, d time.Duration, guess float64) (rate float64, cpu time.Duration, err error)
}

// steady are scenarios 1 to 5.
func (b *bench) steady() []steady {
	epoll := func(r func(*server) request) func(context.Context, *server, time.Duration, float64) (float64, time.Duration, error) {
		return func(ctx context.Context, s *server, d time.Duration, _ float64) (float64, time.Duration, error) {
			return b.closedLoop(ctx, s, r(s), d)
		}
	}
	return []steady{
		{"small", smallRate, smallCPU, epoll((*server).small)},
		{"large", largeRate, largeCPU, epoll((*server).large)},
		{"guarded", guardedRate, guardedCPU, epoll(func(s *server) request { return s.guarded(b.token) })},
		{"tls", tlsRate, tlsCPU, func(ctx context.Context, s *server, d time.Duration, guess float64) (float64, time.Duration, error) {
			return secured(ctx, s, d, guess, "--h1", "-c", strconv.Itoa(connections))
		}},
		{"h2", h2Rate, h2CPU, func(ctx context.Context, s *server, d time.Duration, guess float64) (float64, time.Duration, error) {
			return secured(ctx, s, d, guess, "--npn-list=h2", "-c", strconv.Itoa(h2Connections), "-m", strconv.Itoa(h2Streams))
		}},
	}
}

// compare is scenarios 1 to 5 of a contender, by turns with the judge, if there is one: a machine that becomes slower does so for both.
func (b *bench) compare(ctx context.Context, c, judge *contender) {
	for _, f := range b.steady() {
		switch {
		case !b.wanted(f.name) || !c.takes(f.name) || ctx.Err() != nil:
			continue
		case f.name == "h2" && c.noH2:
			b.say(f.rate, c.title, "no HTTP/2")
			b.say(f.cpu, c.title, "no HTTP/2")
			continue
		}
		b.conclude(c, b.alternate(ctx, f, c, judge), f.rate, f.cpu)
	}
}

// alternate measures a contender and the judge, which may be nil, in short windows by turns.
func (b *bench) alternate(ctx context.Context, f steady, pair ...*contender) error {
	var servers []*server
	var guesses []float64
	for _, c := range slices.DeleteFunc(pair, func(c *contender) bool { return c == nil }) {
		s, err := b.start(ctx, c)
		if err != nil {
			return err
		}
		defer s.stop()
		if f.name == "guarded" {
			if err := b.refused(s); err != nil {
				return fmt.Errorf("%s: %w", s.title, err)
			}
		}
		guess, _, err := f.run(ctx, s, b.warm, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		servers, guesses = append(servers, s), append(guesses, guess)
	}
	for range b.turns {
		cpus := make([]float64, len(servers))
		for i, s := range servers {
			rate, cpu, err := f.run(ctx, s, b.closed, guesses[i])
			if err != nil {
				return fmt.Errorf("%s: %w", s.title, err)
			}
			cpus[i] = micro(cpu)
			b.note(f.rate, s.title, rate)
			b.note(f.cpu, s.title, cpus[i])
		}
		if len(cpus) == 2 {
			b.compared(f.cpu, servers[0].title, cpus[0]/max(cpus[1], 1e-9))
		}
	}
	return nil
}

// refused is an error if the guarded route lets requests pass that it must not.
func (b *bench) refused(s *server) error {
	if strings.HasPrefix(s.lacks, "JWT") {
		return nil
	}
	for _, token := range []string{"", b.token[:len(b.token)-2] + "xx"} {
		conn, err := load.Dial(string(s.Guarded))
		if err != nil {
			return err
		}
		_ = conn.Deadline(time.Now().Add(5 * time.Second))
		status, _, err := conn.Do(s.guarded(token).text())
		_ = conn.Close()
		if err == nil && status != 401 {
			err = fmt.Errorf("a request with the token %q has the status %d", token, status)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var (
	asked    = regexp.MustCompile(`finished in ([\d.]+)(us|ms|s), ([\d.]+) req/s`)
	answered = regexp.MustCompile(`requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	traffic  = regexp.MustCompile(`\((\d+)\) data`)
)

// secured asks over TLS for about d, with h2load, which is told a number of requests.
func secured(ctx context.Context, s *server, d time.Duration, guess float64, options ...string) (rate float64, cpu time.Duration, err error) {
	const least = 10 * connections
	if err := s.Listening(ctx, string(s.TLS)); err != nil {
		return 0, 0, err
	}
	if guess == 0 {
		if guess, _, err = h2load(ctx, s, least, options...); err != nil {
			return 0, 0, err
		}
	}
	return h2load(ctx, s, max(int(guess*d.Seconds()), least), options...)
}

// h2load is so many requests; all must be answered with the right number of bytes.
func h2load(ctx context.Context, s *server, requests int, options ...string) (rate float64, cpu time.Duration, err error) {
	r := s.small()
	argv := append([]string{"-n", strconv.Itoa(requests), "-t", "1"}, options...)
	for _, h := range r.headers() {
		argv = append(argv, "-H", h)
	}
	argv = append(argv, fmt.Sprintf("https://%s%s", s.TLS, r.path))
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before := rig.CPU(s.PID())
	out, err := exec.CommandContext(ctx, "h2load", argv...).CombinedOutput()
	spent := rig.CPU(s.PID()) - before
	counts, speed, data := answered.FindSubmatch(out), asked.FindSubmatch(out), traffic.FindSubmatch(out)
	if err != nil || counts == nil || speed == nil || data == nil {
		return 0, 0, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	bytes, _ := strconv.Atoi(string(data[1]))
	if string(counts[3]) != strconv.Itoa(requests) || bytes != requests*r.length {
		return 0, 0, fmt.Errorf("h2load: %s of %d answers are good, %d bytes instead of %d", counts[3], requests, bytes, requests*r.length)
	}
	rate, err = strconv.ParseFloat(string(speed[3]), 64)
	return rate, spent / time.Duration(requests), err
}
