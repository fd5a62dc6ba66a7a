package process

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
)

// MaxLine is where a printed line is cut, in bytes.
const MaxLine = 8 << 10

// Lines receives what a process prints, line by line without the line's end; stream is stdout or stderr. It is called by one
// goroutine at a time per stream and must not keep line.
type Lines func(stream string, line []byte)

// pipe follows one output of a process. Besides the goroutine that waits for output, anyone may drain it at once, so that a
// line printed before a result is seen before that result.
type pipe struct {
	stream string
	lines  Lines
	file   *os.File
	raw    syscall.RawConn

	mu    sync.Mutex
	buf   []byte // the line that has no end yet, then room to read
	held  int
	cut   bool // the rest of an overlong line is skipped
	ended bool
}

func newPipe(stream string, lines Lines) (*pipe, *os.File, error) {
	r, w, err := pipePair()
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(r), stream), os.NewFile(uintptr(w), stream)
	raw, err := ours.SyscallConn()
	if err != nil {
		_ = ours.Close()
		_ = theirs.Close()
		return nil, nil, err
	}
	return &pipe{stream: stream, lines: lines, file: ours, raw: raw, buf: make([]byte, MaxLine)}, theirs, nil
}

// follow reads until the end of the pipe or close.
func (p *pipe) follow() {
	_ = p.raw.Read(func(fd uintptr) bool { return p.read(int(fd), false) })
}

// drain reads what is there now.
func (p *pipe) drain(flush bool) {
	_ = p.raw.Control(func(fd uintptr) { p.read(int(fd), flush) })
}

// read reads until nothing is there; true at the end of the pipe.
func (p *pipe) read(fd int, flush bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		n, err := syscall.Read(fd, p.buf[p.held:])
		switch {
		case n > 0:
			p.take(n)
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			if flush {
				p.flush()
			}
			return false
		default:
			p.ended = true
			p.flush()
		}
	}
	return true
}

// take hands over the whole lines among the n new bytes.
func (p *pipe) take(n int) {
	rest, seen := p.buf[:p.held+n], p.held
	for {
		end := bytes.IndexByte(rest[seen:], '\n')
		if end < 0 {
			break
		}
		end, seen = end+seen, 0
		if !p.cut {
			p.lines(p.stream, bytes.TrimSuffix(rest[:end], []byte{'\r'}))
		}
		p.cut = false
		rest = rest[end+1:]
	}
	p.held = copy(p.buf, rest)
	if p.held == len(p.buf) {
		if !p.cut {
			p.lines(p.stream, p.buf)
		}
		p.cut, p.held = true, 0
	}
}

func (p *pipe) flush() {
	if p.held > 0 && !p.cut {
		p.lines(p.stream, p.buf[:p.held])
	}
	p.held, p.cut = 0, false
}

func (p *pipe) close() { _ = p.file.Close() }
