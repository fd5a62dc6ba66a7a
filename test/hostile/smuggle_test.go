package hostile

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// outcome is what came of an attack.
type outcome struct {
	status  []int // of the answers, without those of 1xx but 101
	closing bool  // the last answer says that the connection ends, or it ended without one
	seen    []seen
	text    string // of the answers
}

// whole are the requests that arrived with their bodies.
func (o *outcome) whole() (n int) {
	for _, s := range o.seen {
		if s.whole && !strings.HasPrefix(s.head, "TUNNEL") {
			n++
		}
	}
	return n
}

func (o *outcome) good() (n int) {
	for _, status := range o.status {
		if status < 400 || status == 426 {
			n++
		}
	}
	return n
}

// String is the outcome for people.
func (o *outcome) String() string {
	answers := "no answer"
	if len(o.status) > 0 {
		answers = strings.Trim(fmt.Sprint(o.status), "[]")
	}
	if o.closing {
		answers += ", closed"
	}
	return fmt.Sprintf("%s; upstream: %d", answers, o.whole())
}

var statusRule = regexp.MustCompile(`HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n`)

// option of throw: closing ends the own half of the connection after the bytes.
type option int

const closing option = 1

// throw sends bytes to an address and reads until the server ends the connection, which it does when idle at the latest.
func throw(address, raw string, options ...option) (*outcome, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() { // a refusal may come first
		_, _ = io.WriteString(c, raw)
		if len(options) > 0 {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}()
	began := time.Now()
	b, err := io.ReadAll(c)
	if t, ok := err.(net.Error); ok && t.Timeout() {
		return nil, fmt.Errorf("the connection stays open: %.200q", b)
	}
	o := &outcome{text: string(b), closing: time.Since(began) < limit/2}
	for _, m := range statusRule.FindAllStringSubmatch(o.text, -1) {
		if status, _ := strconv.Atoi(m[1]); status >= 200 || status == 101 {
			o.status = append(o.status, status)
		}
	}
	if i := strings.LastIndex(o.text, "HTTP/1."); i >= 0 {
		head, _, _ := strings.Cut(o.text[i:], "\r\n\r\n")
		o.closing = o.closing || strings.Contains(strings.ToLower(head), "\r\nconnection: close")
	}
	return o, nil
}

// volley throws the corpus at an address; suffix is the last letter of the marks.
func volley(address, suffix string) ([]*outcome, error) {
	list, errs := make([]*outcome, len(corpus)), make([]error, len(corpus))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i, a := range corpus {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			mark := fmt.Sprintf("hx%d%s", i, suffix)
			if list[i], errs[i] = throw(address, strings.ReplaceAll(a.raw, "ID", mark)); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", a.name, errs[i])
				list[i] = &outcome{}
			}
			list[i].seen = up.of(mark)
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// wrong tells what is not as the attack wants it; empty if it is.
func (a *attack) wrong(o *outcome) string {
	for _, status := range o.status {
		if status >= 500 && status != 501 && status != 505 && !strings.Contains(a.name, "101") {
			return "server error"
		}
	}
	whole, good := o.whole(), o.good()
	for _, s := range o.seen {
		if strings.Contains(s.target(), "/stolen") {
			return "a request was stolen: " + s.head
		}
	}
	passed, refused := strings.CutSuffix(a.want, "+refuse")
	n, err := strconv.Atoi(passed)
	switch {
	case a.want == "refuse" && (len(o.seen) > 0 || good > 0 || len(o.status) > 1 || !o.closing):
		return "not refused"
	case a.want == "deny" && (whole > 0 && !strings.Contains(a.raw, "/always101") || good > 0 || len(o.status) == 0):
		return "not denied"
	case a.want == "cut" && (whole > 0 || good > 0):
		return "not cut"
	case err == nil && (whole != n || good != n || refused && (len(o.status) != n+1 || !o.closing) || !refused && len(o.status) != n):
		return "not " + a.want
	}
	var all strings.Builder
	for _, s := range o.seen {
		all.WriteString(s.head + "\r\n\r\n" + s.body + "\r\n")
	}
	for _, check := range a.checks {
		if not, ok := strings.CutPrefix(check, "!"); ok == strings.Contains(all.String(), strings.TrimPrefix(check, "!")) {
			return fmt.Sprintf("%q in what the upstream got, or not (%s): %q", check, not, all.String())
		}
	}
	return ""
}

func TestSmuggling(t *testing.T) {
	rounds := 1
	if *long {
		rounds = 10
	}
	for round := range rounds {
		up.forget("h")
		list, err := volley(gate.public, "h")
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range corpus {
			if why := a.wrong(list[i]); why != "" {
				t.Errorf("round %d: %s: %s: want %s, got %s\n\t%.300q", round, a.name, why, a.want, list[i], list[i].text)
			}
		}
	}
	t.Logf("%d cases", len(corpus))
}

// Routes that ask no upstream refuse the same, by the pages they give themselves.
func TestSmugglingElsewhere(t *testing.T) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, path := range []string{"/answer/", "/static/page.html", "/echo", "/live/connect/sse"} {
		for _, a := range corpus {
			if a.want != "refuse" || !strings.Contains(a.raw, "/p/ID") || a.name == "CL huge" { // a length like any other where nobody reads the body
				continue
			}
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				o, err := throw(gate.public, strings.ReplaceAll(a.raw, "/p/ID", path))
				if err != nil {
					t.Errorf("%s at %s: %v", a.name, path, err)
				} else if o.good() > 0 || len(o.status) > 1 || !o.closing {
					t.Errorf("%s at %s: %s\n\t%.300q", a.name, path, o, o.text)
				}
			})
		}
	}
	wait.Wait()
}
