package live

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"
)

// peer is a client that speaks the protocol in JSON over a bare WebSocket, so that tests see every byte.
type peer struct {
	testing.TB
	conn  io.ReadWriteCloser
	in    *bufio.Reader
	lines []string // of the frame read last
	id    int
}

// closed is the close frame of the server.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %s", c.code, c.reason) }

func (r *rig) peer(path string, headers ...string) *peer {
	r.Helper()
	p, status := r.dial(path, headers...)
	if status != http.StatusSwitchingProtocols {
		r.Fatalf("handshake: %d", status)
	}
	return p
}

func (r *rig) dial(path string, headers ...string) (*peer, int) {
	r.Helper()
	c := r.raw()
	p := &peer{TB: r.TB, conn: c, in: bufio.NewReader(c)}
	request := strings.Replace(handshake, "/live/websocket", "/live"+path, 1)
	request = strings.TrimSuffix(request, "\r\n") + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		r.Fatal(err)
	}
	response, err := http.ReadResponse(p.in, nil)
	if err != nil {
		r.Fatal(err)
	}
	return p, response.StatusCode
}

func (p *peer) send(text string) {
	p.Helper()
	if _, err := p.conn.Write(masked(text)); err != nil {
		p.Fatal(err)
	}
}

// frame reads a message; the error is a *closed after a close frame.
func (p *peer) frame() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return "", err
	}
	size := int(head[1])
	switch size {
	case 126:
		var b [2]byte
		_, _ = io.ReadFull(p.in, b[:])
		size = int(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, _ = io.ReadFull(p.in, b[:])
		size = int(binary.BigEndian.Uint64(b[:]))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(p.in, b); err != nil {
		return "", err
	}
	if head[0]&15 == 8 {
		return "", &closed{int(binary.BigEndian.Uint16(b)), string(b[2:])}
	}
	return string(b), nil
}

// next is the next reply or push; pings are answered.
func (p *peer) next() (*protocol.Reply, error) {
	for {
		if len(p.lines) == 0 {
			text, err := p.frame()
			if err != nil {
				return nil, err
			}
			p.lines = strings.Split(text, "\n")
		}
		line := p.lines[0]
		p.lines = p.lines[1:]
		if line == "{}" {
			p.send("{}")
			continue
		}
		r := &protocol.Reply{}
		if err := json.Unmarshal([]byte(line), r); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		return r, nil
	}
}

// must is the next reply or push that there must be.
func (p *peer) must() *protocol.Reply {
	p.Helper()
	r, err := p.next()
	if err != nil {
		p.Fatal(err)
	}
	return r
}

// ask sends a command, given without its id, and returns its reply, leaving out pushes.
func (p *peer) ask(command string) *protocol.Reply {
	p.Helper()
	p.id++
	p.send(fmt.Sprintf(`{"id":%d,%s`, p.id, strings.TrimPrefix(command, "{")))
	for {
		if r := p.must(); int(r.Id) == p.id {
			return r
		}
	}
}

// enter connects.
func (p *peer) enter(token string) *protocol.ConnectResult {
	p.Helper()
	r := p.ask(fmt.Sprintf(`{"connect":{"token":%q}}`, token))
	if r.Connect == nil {
		p.Fatalf("connect: %v", r)
	}
	return r.Connect
}

// push is the next push.
func (p *peer) push() *protocol.Push {
	p.Helper()
	r := p.must()
	if r.Push == nil {
		p.Fatalf("no push: %v", r)
	}
	return r.Push
}

// over reads until the server closes and returns the code.
func (p *peer) over() int {
	p.Helper()
	for {
		_, err := p.frame()
		var c *closed
		if errors.As(err, &c) {
			return c.code
		}
		if err != nil {
			p.Fatalf("no close frame: %v", err)
		}
	}
}

// code is the error code of a reply, 0 without one.
func code(r *protocol.Reply) int {
	if r.Error == nil {
		return 0
	}
	return int(r.Error.Code)
}
