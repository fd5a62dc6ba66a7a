package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/live/swarm"
)

// speaker is a client that publishes: Centrifuge JSON, one goroutine that says and one that hears.
type speaker struct {
	socket  net.Conn
	in      *bufio.Reader
	scratch []byte
	held    []byte // what has arrived
	spent   int    // bytes of held that were heard
}

func (s *server) speaker() (*speaker, error) {
	socket, err := net.DialTimeout("tcp", s.addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &speaker{socket: socket, in: bufio.NewReader(socket)}
	if err := c.join(s); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return c, nil
}

func (c *speaker) join(s *server) error {
	_ = c.socket.SetDeadline(time.Now().Add(2 * time.Minute))
	_, err := fmt.Fprintf(c.socket, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.path, s.addr)
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %s", answer.Status)
	}
	if err := c.say(`{"id":1,"connect":{}}`); err != nil {
		return err
	}
	_, err = c.hear()
	return err
}

func (c *speaker) close() { _ = c.socket.Close() }

func (c *speaker) say(text string) error {
	c.scratch = swarm.Text(c.scratch[:0], text)
	_, err := c.socket.Write(c.scratch)
	return err
}

// hear is the next message: lines of replies.
func (c *speaker) hear() (string, error) {
	for {
		opcode, payload, size, err := swarm.Next(c.held[c.spent:])
		if err != nil {
			return "", err
		}
		if size > 0 {
			c.spent += size
			if opcode != 1 {
				return "", fmt.Errorf("opcode %d: %q", opcode, payload)
			}
			return string(payload), nil
		}
		c.held = append(c.held[:0], c.held[c.spent:]...)
		c.spent = 0
		if _, err := c.in.Peek(1); err != nil {
			return "", err
		}
		arrived, _ := c.in.Peek(c.in.Buffered())
		c.held = append(c.held, arrived...)
		_, _ = c.in.Discard(len(arrived))
	}
}

// nap sleeps in the system: the timers of the runtime wake up to a millisecond late, which is more than what is measured.
func nap(d time.Duration) {
	spec := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&spec, nil) // woken early by a signal, the next begins a little early
}
