package service

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/headrace/headrace/internal/workers/process"
)

// lastLines is how many of the lines that a process printed are kept, to tell why it ended.
const lastLines = 20

// follow hands over the lines of one output until its end. An overlong line is cut.
func follow(from io.Reader, line func(string)) {
	r := bufio.NewReaderSize(from, process.MaxLine)
	cut := false // the rest of an overlong line is skipped
	for {
		text, err := r.ReadSlice('\n')
		if full := errors.Is(err, bufio.ErrBufferFull); full || err == nil {
			if !cut {
				line(string(bytes.TrimRight(text, "\r\n")))
			}
			cut = full
			continue
		}
		if len(text) > 0 && !cut {
			line(string(text))
		}
		return
	}
}

// printed is the last lines of a process.
type printed struct {
	mu    sync.Mutex
	lines []string
}

func (p *printed) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == lastLines {
		p.lines = append(p.lines[:0], p.lines[1:]...)
	}
	p.lines = append(p.lines, line)
}

// told is the lines as the end of a message; nothing if there are none.
func (p *printed) told() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == 0 {
		return ""
	}
	return "; it printed:\n" + strings.Join(p.lines, "\n")
}
