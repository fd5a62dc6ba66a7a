package service

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/headrace/headrace/internal/config"
)

// longestSocket is how long the path of a Unix socket may be everywhere, in bytes.
const longestSocket = 100

// places are the addresses that processes listen on: sockets in a folder that nobody else can enter, and ports of 127.0.0.1.
type places struct {
	folder    string
	temporary bool

	mu     sync.Mutex
	number int
	ports  map[string]bool // in use by processes of ours
}

// newPlaces makes the folder, or one of its own for temporary files if there is none or its path is too long for sockets.
func newPlaces(folder string) (*places, error) {
	p := &places{ports: map[string]bool{}}
	if folder != "" {
		whole, err := filepath.Abs(folder)
		if err != nil {
			return nil, err
		}
		if len(whole)+len("/1000000.sock") <= longestSocket {
			p.folder = whole
			if err := os.MkdirAll(whole, 0o700); err != nil {
				return nil, err
			}
			if err := os.Chmod(whole, 0o700); err != nil {
				return nil, err
			}
			old, err := filepath.Glob(filepath.Join(whole, "*.sock")) // of one that was killed
			for _, name := range old {
				_ = os.Remove(name)
			}
			return p, err
		}
	}
	var err error
	p.folder, err = os.MkdirTemp("", "headrace-")
	p.temporary = true
	return p, err
}

func (p *places) close() {
	if p.temporary {
		_ = os.RemoveAll(p.folder)
	}
}

// place is where one process listens.
type place struct {
	network, address string // unix and a path, or tcp and 127.0.0.1:port
	port             string
}

func (p *places) socket() place {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	return place{network: "unix", address: filepath.Join(p.folder, fmt.Sprintf("%d.sock", p.number))}
}

// port finds a port that is free now. Another program may take it before the process does, which then fails and gets another one.
func (p *places) port() (place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return place{}, err
		}
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close()
		if !p.ports[port] {
			p.ports[port] = true
			return place{network: "tcp", address: "127.0.0.1:" + port, port: port}, nil
		}
	}
}

func (p *places) free(at place) {
	if at.network == "unix" {
		_ = os.Remove(at.address)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ports, at.port)
}

// find chooses a socket if the command or the environment names {socket}, else a port.
func (p *places) find(c *config.Upstream) (place, error) {
	named := strings.Contains(c.Run, "{socket}")
	for _, value := range c.Env {
		named = named || strings.Contains(value, "{socket}")
	}
	if named {
		return p.socket(), nil
	}
	return p.port()
}

// fill puts the address into a word of the command or a value of the environment.
func (at place) fill(text string) string {
	if at.network == "unix" {
		return strings.ReplaceAll(text, "{socket}", at.address)
	}
	return strings.ReplaceAll(text, "{port}", at.port)
}

// variable tells the address to programs that look for it in their environment.
func (at place) variable() string {
	if at.network == "unix" {
		return "HEADRACE_SOCKET=" + at.address
	}
	return "PORT=" + at.port
}
