package hostile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// recorder is an upstream that keeps the bytes that it gets. It reads as strictly as it can and shares no code with headrace.
type recorder struct {
	net.Listener
	canary string

	mu     sync.Mutex
	seen   map[string][]seen // by the mark of the case
	astray []string          // without a mark, or broken
}

// seen is a request as it arrived.
type seen struct {
	head, body string
	whole      bool // with its body
}

// target of the request line.
func (s seen) target() string {
	parts := strings.SplitN(s.head, " ", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// header is the value of a header; several are joined by |.
func (s seen) header(name string) string {
	var list []string
	for line := range strings.SplitSeq(s.head, "\r\n") {
		if key, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(key, name) {
			list = append(list, value)
		}
	}
	return strings.Join(list, "|")
}

// marks name cases; each case has its own in all of its parts.
var marks = regexp.MustCompile(`hx[0-9]+[a-z]`)

func newRecorder(canary string) (*recorder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{Listener: l, canary: canary, seen: map[string][]seen{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r, nil
}

func (r *recorder) note(s seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mark := marks.FindString(s.head + s.body)
	if mark == "" {
		if !strings.Contains(s.head, "/unmarked") {
			r.astray = append(r.astray, s.head)
		}
		return
	}
	r.seen[mark] = append(r.seen[mark], s)
	if target := s.target(); !strings.HasPrefix(target, "/") {
		r.astray = append(r.astray, mark+": "+s.head)
	}
}

func (r *recorder) broken(mark string, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.astray = append(r.astray, fmt.Sprintf("%s: %.300s", mark, what))
}

// of are the requests with a mark.
func (r *recorder) of(mark string) []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seen(nil), r.seen[mark]...)
}

// strays are requests without a mark, and broken ones, of headrace alone.
func (r *recorder) strays() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.astray {
		if m := marks.FindString(s); !strings.HasSuffix(m, "n") && !strings.HasSuffix(m, "p") {
			list = append(list, s)
		}
	}
	return list
}

var (
	lineRule  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\\x00-\\x20\\x7f]+ HTTP/1\\.[01]$")
	fieldRule = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")
	sizeRule  = regexp.MustCompile(`^[0-9A-Fa-f]{1,8}$`)
)

func (r *recorder) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 256<<10)
	for {
		var head bytes.Buffer
		for !bytes.HasSuffix(head.Bytes(), []byte("\r\n\r\n")) {
			b, err := in.ReadByte()
			if err != nil {
				if head.Len() > 0 {
					r.broken(marks.FindString(head.String()), head.String())
				}
				return
			}
			head.WriteByte(b)
		}
		s := seen{head: strings.TrimSuffix(head.String(), "\r\n\r\n")}
		length, err := framing(s.head)
		if err != nil {
			r.broken(marks.FindString(s.head), err.Error()+": "+s.head)
			return
		}
		body, err := read(in, length)
		s.body, s.whole = body, err == nil
		r.note(s)
		if err != nil || !r.answer(c, in, s) {
			return
		}
	}
}

// framing checks a head; the length is -1 with chunks.
func framing(head string) (length int, err error) {
	lines := strings.Split(head, "\r\n")
	if !lineRule.MatchString(lines[0]) {
		return 0, errors.New("bad request line")
	}
	seen := map[string]int{}
	for _, line := range lines[1:] {
		if !fieldRule.MatchString(line) {
			return 0, fmt.Errorf("bad field %q", line)
		}
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.TrimSpace(value)
		seen[name]++
		switch name {
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil || length < 0 || length > 1<<30 || value[0] == '+' {
				return 0, fmt.Errorf("bad length %q", value)
			}
		case "transfer-encoding":
			if !strings.EqualFold(value, "chunked") {
				return 0, fmt.Errorf("bad coding %q", value)
			}
			length = -1
		}
	}
	if seen["host"] != 1 || seen["content-length"]+seen["transfer-encoding"] > 1 {
		return 0, errors.New("no host, two hosts or two lengths")
	}
	return length, nil
}

func read(in *bufio.Reader, length int) (string, error) {
	if length >= 0 {
		b := make([]byte, length)
		n, err := io.ReadFull(in, b)
		return string(b[:n]), err
	}
	var body strings.Builder
	line := func() (string, error) {
		text, err := in.ReadString('\n')
		if err == nil && !strings.HasSuffix(text, "\r\n") {
			err = errors.New("bare LF")
		}
		return strings.TrimSuffix(text, "\r\n"), err
	}
	for {
		text, err := line()
		if err == nil && !sizeRule.MatchString(text) {
			err = fmt.Errorf("bad chunk size %q", text)
		}
		if err != nil {
			return body.String(), err
		}
		size, _ := strconv.ParseInt(text, 16, 64)
		if size == 0 {
			for {
				text, err = line()
				if err != nil || text == "" {
					return body.String(), err
				}
				body.WriteString("\ntrailer " + text)
			}
		}
		if _, err = io.CopyN(&body, in, size); err == nil {
			text, err = line()
			if text != "" {
				err = errors.New("chunk without end")
			}
		}
		if err != nil {
			return body.String(), err
		}
	}
}

// answer is false if the connection is at its end.
func (r *recorder) answer(c net.Conn, in *bufio.Reader, s seen) bool {
	path, _, _ := strings.Cut(s.target(), "?")
	upgrade := strings.EqualFold(s.header("Upgrade"), "websocket")
	head := strings.HasPrefix(s.head, "HEAD ")
	switch {
	case strings.HasPrefix(path, "/silent"): // until the client has had enough
		_, _ = io.Copy(io.Discard, in)
		return false
	case strings.HasPrefix(path, "/redirecting"):
		fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: http://%s/secret\r\nContent-Length: 0\r\n\r\n", r.canary)
	case strings.HasPrefix(path, "/switch") && upgrade && s.header("Sec-WebSocket-Version") == "13", strings.HasPrefix(path, "/always101"):
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		tunnel, _ := io.ReadAll(in)
		r.note(seen{head: "TUNNEL " + path + " ", body: string(tunnel), whole: true})
		return false
	case strings.HasPrefix(path, "/switch"):
		_, _ = io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
	case strings.HasPrefix(path, "/large"):
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", large)
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range large / len(piece) {
			if _, err := c.Write(piece); err != nil {
				return false
			}
		}
	case strings.HasPrefix(path, "/cached"):
		body := fmt.Sprintf("answer of %s ", s.target())
		for _, name := range []string{"Host", "X-Forwarded-Host", "X-Forwarded-Scheme", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "Forwarded"} {
			body += s.header(name) + " "
		}
		body += s.body
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n", len(body))
		if !head {
			_, _ = io.WriteString(c, body)
		}
	case head:
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
	default:
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
	return true
}

// large is the size of an answer that nobody takes in one piece.
const large = 64 << 20

// forget drops the requests whose marks end so.
func (r *recorder) forget(suffix string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for mark := range r.seen {
		if strings.HasSuffix(mark, suffix) {
			delete(r.seen, mark)
		}
	}
}
