package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/bench/rig"
)

// parked is scenario 7: connections that have had an answer and wait.
func (b *bench) parked(ctx context.Context, c *contender) error {
	s, err := b.start(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	if _, _, err := b.closedLoop(ctx, s, s.small(), b.warm); err != nil {
		return err
	}
	before, _ := rig.Memory(s.PID())
	conns, err := crowd(ctx, s.small(), b.idle)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := pass(ctx, b.settle); err != nil {
		return err
	}
	for i, c := range conns {
		if err := alive(c); err != nil {
			return fmt.Errorf("idle connection %d: %w", i, err)
		}
	}
	resident, proportional := rig.Memory(s.PID())
	b.note(idleBefore, c.title, mega(before))
	b.note(idleRSS, c.title, mega(resident))
	b.note(idlePSS, c.title, mega(proportional))
	return nil
}

// crowd opens connections from several addresses, 64 at a time; each asks once.
func crowd(ctx context.Context, r request, count int) ([]*net.TCPConn, error) {
	var (
		mu     sync.Mutex
		conns  []*net.TCPConn
		failed error
		wait   sync.WaitGroup
		text   = r.text()
	)
	for worker := range 64 {
		wait.Go(func() {
			dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+worker%4))}}
			for i := worker; i < count && ctx.Err() == nil; i += 64 {
				c, err := ask(ctx, &dialer, r, text)
				mu.Lock()
				if c != nil {
					conns = append(conns, c)
				}
				failed = errors.Join(failed, err)
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wait.Wait()
	return conns, errors.Join(failed, ctx.Err())
}

func ask(ctx context.Context, dialer *net.Dialer, r request, text []byte) (*net.TCPConn, error) {
	c, err := dialer.DialContext(ctx, "tcp", string(r.addr))
	if err != nil {
		return nil, err
	}
	conn := c.(*net.TCPConn)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(text); err != nil {
		return conn, err
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return conn, err
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && (answer.StatusCode != 200 || n != int64(r.length)) {
		err = fmt.Errorf("status %d with %d bytes", answer.StatusCode, n)
	}
	return conn, err
}

// alive is an error if the server has closed the connection.
func alive(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var failure error
	err = raw.Control(func(fd uintptr) {
		n, _, failure = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return err
	case failure == syscall.EAGAIN:
		return nil
	case failure != nil:
		return failure
	case n == 0:
		return errors.New("closed by the server")
	}
	return errors.New("the server has sent more than it was asked for")
}
