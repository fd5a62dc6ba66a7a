package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// stream is scenario 8: bodies that nobody may hold in memory.
func (b *bench) stream(ctx context.Context, c *contender) error {
	for _, way := range []struct {
		*figure
		run func(context.Context, address, int64) error
	}{{download, fetch}, {uploaded, push}} {
		s, err := b.start(ctx, c)
		if err != nil {
			return err
		}
		defer s.stop()
		plan := s.small().plan(connections)
		plan.Requests = warmRequests
		result, err := load.Closed(ctx, plan)
		if err == nil {
			err = result.Error
		}
		if err != nil {
			return err
		}
		growth, err := rig.Growth(s.PID())
		if err != nil {
			return err
		}
		if err := way.run(ctx, s.Plain, b.bulk); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		b.note(way.figure, c.title, mega(growth()))
		s.stop()
	}
	return nil
}

const bulkTime = time.Minute // that a body of scenario 8 may take

func dial(ctx context.Context, addr address) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", string(addr))
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(bulkTime))
}

// fetch reads a body of so many bytes.
func fetch(ctx context.Context, addr address, size int64) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /bytes/%d HTTP/1.1\r\nHost: %s\r\n\r\n", size, addr); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 256<<10), nil)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(onlyWriter{}, answer.Body, make([]byte, 256<<10))
	if err == nil && (answer.StatusCode != 200 || n != size) {
		err = fmt.Errorf("status %d with %d bytes instead of %d", answer.StatusCode, n, size)
	}
	return err
}

// onlyWriter takes everything in the pieces that it comes in.
type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }

// push sends a body of so many bytes, and the upstream must have counted them.
func push(ctx context.Context, addr address, size int64) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /sink HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", addr, size); err != nil {
		return err
	}
	part := make([]byte, 256<<10)
	for left := size; left > 0; {
		n, err := conn.Write(part[:min(left, int64(len(part)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != 200 || string(body) != strconv.FormatInt(size, 10)) {
		err = fmt.Errorf("status %d: %.100q instead of %d", answer.StatusCode, body, size)
	}
	return err
}
