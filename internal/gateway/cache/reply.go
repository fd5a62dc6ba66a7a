package cache

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

var ageHeader, statusHeader, rangeHeader = []byte("Age"), []byte("Cache-Status"), []byte("Content-Range")

// reply answers with an entry: whole, a range of it, or that the client has it already.
func (t *try) reply(r *exchange.Request, e *entry, now time.Duration) error {
	h := &r.Response.Header
	r.SetStatusCode(e.status)
	for i := range e.fields {
		if f := &e.fields[i]; f.again {
			h.AddBytesKV(f.key, f.value)
		} else {
			h.SetCanonical(f.key, f.value)
		}
	}
	age := e.ageAt(now)
	h.SetCanonical(ageHeader, answerAge(t.text[:0], age))
	if e.status == fasthttp.StatusOK {
		if t.has(e) {
			r.SetStatusCode(fasthttp.StatusNotModified)
			return nil
		}
		if len(t.wanted) > 0 && (len(t.ifRange) == 0 || same(t.ifRange, e)) {
			switch from, to, verdict := part(t.wanted, len(e.body)); verdict {
			case satisfiable:
				b := strconv.AppendInt(append(t.text[:0], "bytes "...), int64(from), 10)
				b = strconv.AppendInt(append(b, '-'), int64(to), 10)
				b = strconv.AppendInt(append(b, '/'), int64(len(e.body)), 10)
				h.SetCanonical(rangeHeader, b)
				r.SetStatusCode(fasthttp.StatusPartialContent)
				r.Response.SetBodyRaw(e.body[from : to+1])
				return nil
			case unsatisfiable:
				h.SetCanonical(rangeHeader, strconv.AppendInt(append(t.text[:0], "bytes */"...), int64(len(e.body)), 10))
				return problem.New("HR1013", "the answer has %d bytes", len(e.body))
			}
		}
	}
	if e.forms != nil {
		r.AnswerKept(e.body, e.forms)
	} else {
		r.Response.SetBodyRaw(e.body)
	}
	return nil
}

// told writes Cache-Status, RFC 9211, as a hit with the time it is still fresh, or why the upstream was asked.
func (t *try) told(r *exchange.Request, text string, e *entry, now time.Duration) {
	b := append(t.text[:0], "headrace; "...)
	b = append(b, text...)
	if e != nil {
		b = strconv.AppendInt(append(b, "; ttl="...), int64(math.Floor((e.lifetime - e.ageAt(now)).Seconds())), 10)
	}
	if before := r.Response.Header.PeekBytes(statusHeader); len(before) > 0 {
		b = append(append(bytes.Clone(before), ", "...), b...)
	}
	r.Response.Header.SetCanonical(statusHeader, b)
}

// has tells whether the client has the entry.
func (t *try) has(e *entry) bool {
	if len(t.tags) > 0 {
		return listed(t.tags, e.etag)
	}
	return len(t.since) > 0 && len(e.modified) > 0 && !after(e.modified, t.since)
}

// listed compares weakly, as If-None-Match does.
func listed(list, tag []byte) bool {
	if string(bytes.TrimSpace(list)) == "*" {
		return true
	}
	tag = bytes.TrimPrefix(tag, []byte("W/"))
	if len(tag) < 2 {
		return false
	}
	for {
		at := bytes.IndexByte(list, '"')
		if at < 0 {
			return false
		}
		end := bytes.IndexByte(list[at+1:], '"')
		if end < 0 {
			return false
		}
		if bytes.Equal(list[at:at+end+2], tag) {
			return true
		}
		list = list[at+end+2:]
	}
}

// after tells whether one date is later than another; a date that cannot be read is.
func after(date, than []byte) bool {
	if bytes.Equal(date, than) {
		return false
	}
	a, err := fasthttp.ParseHTTPDate(date)
	if err != nil {
		return true
	}
	b, err := fasthttp.ParseHTTPDate(than)
	return err != nil || a.After(b)
}

// same compares strongly, as If-Range does.
func same(given []byte, e *entry) bool {
	if given = bytes.TrimSpace(given); len(given) > 0 && given[len(given)-1] == '"' {
		return bytes.Equal(given, e.etag) && !bytes.HasPrefix(given, []byte("W/"))
	}
	return bytes.Equal(given, e.modified)
}

type verdict int

const (
	whole verdict = iota // several ranges, or what cannot be read: the whole answer is right
	satisfiable
	unsatisfiable
)

// part reads a Range of one part.
func part(text []byte, size int) (from, to int, v verdict) {
	spec, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte("bytes="))
	if !ok || bytes.IndexByte(spec, ',') >= 0 {
		return 0, 0, whole
	}
	first, last, ok := bytes.Cut(spec, []byte("-"))
	first, last = bytes.TrimSpace(first), bytes.TrimSpace(last)
	if !ok || len(first)+len(last) == 0 {
		return 0, 0, whole
	}
	a, failedA := number(first)
	b, failedB := number(last)
	switch {
	case failedA || failedB:
		return 0, 0, whole
	case len(first) == 0:
		if b == 0 || size == 0 {
			return 0, 0, unsatisfiable
		}
		return max(0, size-b), size - 1, satisfiable
	case len(last) > 0 && b < a:
		return 0, 0, whole
	case a >= size:
		return 0, 0, unsatisfiable
	case len(last) == 0:
		return a, size - 1, satisfiable
	}
	return a, min(b, size-1), satisfiable
}

func number(text []byte) (n int, failed bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, true
		}
		if n = n*10 + int(c-'0'); n > 1<<40 {
			n = 1 << 40
		}
	}
	return n, false
}
