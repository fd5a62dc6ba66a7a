package cache

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
)

// judgement is how an entry may be used for a request.
type judgement int

const (
	fresh      judgement = iota
	refreshing           // it may be given while a new one is fetched
	late                 // it may be given, because the client takes stale ones
	old                  // the upstream is asked first
)

// judge holds an entry against what the request asks for.
func (t *try) judge(s *Store, e *entry, now time.Duration) judgement {
	age := e.ageAt(now)
	if e.revalidate || t.cc.noCache || t.cc.maxAge != absent && age > t.cc.maxAge || e.generation != s.generation(e.uri).Load() {
		return old
	}
	left := e.lifetime - age
	if left > 0 && (t.cc.minFresh == absent || left >= t.cc.minFresh) {
		return fresh
	}
	switch {
	case e.must || t.cc.maxAge != absent || t.cc.minFresh != absent:
		return old
	case -left <= e.whileRevalidate && e.whileRevalidate > 0:
		return refreshing
	case t.cc.maxStale != absent && -left <= t.cc.maxStale:
		return late
	}
	return old
}

// consoles tells whether an entry may be given because the upstream failed.
func (t *try) consoles(s *Store, e *entry, now time.Duration) bool {
	return e != nil && !e.must && !e.revalidate && !t.cc.noCache && e.generation == s.generation(e.uri).Load() && e.ageAt(now)-e.lifetime <= e.ifError && e.ifError > 0
}

// assess makes an entry without body from the answer of an upstream; nil if it must not be kept.
func (p *policy) assess(r *exchange.Request, t *try) *entry {
	h := &r.Response.Header
	status := r.Response.StatusCode()
	if status < 200 || status == fasthttp.StatusPartialContent || status == fasthttp.StatusNotModified || t.cc.noStore || !r.IsGet() {
		return nil
	}
	cc := newDirectives()
	for _, value := range h.PeekAll("Cache-Control") {
		cc.parse(value)
	}
	if cc.noStore || cc.private && !(p.c.Private && t.known) {
		return nil
	}
	if cookies(h) && !p.c.SetCookie {
		return nil
	}
	// RFC 9111, 3.5: what is told to somebody who has shown who he is. Cookies are not looked at, as in any shared cache.
	if t.known && !p.c.Private && !cc.public && cc.sMaxAge == absent && !cc.mustRevalidate {
		return nil
	}
	e := &entry{status: status, received: t.asked, generation: t.generation, uri: t.uri, revalidate: cc.noCache, must: cc.mustRevalidate || cc.sMaxAge != absent,
		whileRevalidate: p.c.StaleWhileRevalidate, ifError: p.c.StaleIfError}
	if cc.whileRevalidate != absent {
		e.whileRevalidate = cc.whileRevalidate
	}
	if cc.ifError != absent {
		e.ifError = cc.ifError
	}
	lifetime, explicit := p.lifetime(h, &cc, status)
	if e.lifetime = lifetime; !explicit && lifetime == 0 && !cc.public && !heuristic(status) {
		return nil // nothing says that it may be kept
	}
	e.age = seconds(bytes.TrimSpace(h.Peek("Age")))
	if date, err := fasthttp.ParseHTTPDate(h.Peek("Date")); err == nil {
		e.age = max(e.age, time.Since(date).Truncate(time.Second))
	}
	p.copyHead(e, h)
	if (e.lifetime <= e.age || e.revalidate) && !e.validated() {
		return nil // of no use
	}
	return e
}

// lifetime is how long an answer is fresh, and whether it says so.
func (p *policy) lifetime(h *fasthttp.ResponseHeader, cc *directives, status int) (d time.Duration, explicit bool) {
	switch {
	case cc.sMaxAge != absent:
		return cc.sMaxAge, true
	case cc.maxAge != absent:
		return cc.maxAge, true
	}
	if expires := h.Peek("Expires"); len(expires) > 0 {
		at, err := fasthttp.ParseHTTPDate(expires)
		if err != nil {
			return 0, true // such as 0: it is stale
		}
		from := time.Now()
		if date, err := fasthttp.ParseHTTPDate(h.Peek("Date")); err == nil {
			from = date
		}
		return min(max(0, at.Sub(from)), forever), true
	}
	if ttl, ok := p.byStatus[status]; ok {
		return ttl, true
	}
	if heuristic(status) {
		return p.c.TTL, false
	}
	return 0, false
}

func heuristic(status int) bool {
	return status == 200 || status == 203 || status == 301 || status == 308
}

func cookies(h *fasthttp.ResponseHeader) bool {
	for range h.Cookies() {
		return true
	}
	return len(h.Peek("Set-Cookie")) > 0
}

// copyHead copies the lines that are kept into memory of the entry's own.
func (p *policy) copyHead(e *entry, h *fasthttp.ResponseHeader) {
	for key, value := range h.All() {
		if dropped(key) {
			continue
		}
		f := field{key: bytes.Clone(key), value: bytes.Clone(value)}
		for i := range e.fields {
			f.again = f.again || bytes.Equal(e.fields[i].key, f.key)
		}
		e.fields = append(e.fields, f)
		switch string(key) {
		case "Etag":
			e.etag = f.value
		case "Last-Modified":
			e.modified = f.value
		}
		if p.tags != "" && is(key, p.tags) {
			for _, tag := range bytes.FieldsFunc(f.value, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
				e.tags = append(e.tags, string(tag))
			}
		}
	}
}

// dropped are the lines that are of the connection, of one request, or made anew.
func dropped(key []byte) bool {
	switch string(key) {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Content-Length", "Date", "Age", "Cache-Status", "Set-Cookie":
		return true
	}
	return false
}

// refreshed is the entry after the upstream has said that it has not changed: the head of that answer counts where it says something.
func (p *policy) refreshed(e *entry, r *exchange.Request, t *try) *entry {
	h := &r.Response.Header
	for _, f := range e.fields {
		if len(h.PeekBytes(f.key)) == 0 && !is(f.key, "content-encoding") {
			h.AddBytesKV(f.key, f.value)
		}
	}
	r.Response.SetStatusCode(e.status)
	next := p.assess(r, t)
	if next == nil {
		return nil
	}
	// What says how the body is made is that of the body.
	for i := range next.fields {
		if string(next.fields[i].key) == "Content-Type" || string(next.fields[i].key) == "Content-Encoding" {
			next.fields[i].key = nil
		}
	}
	kept := next.fields[:0]
	for _, f := range next.fields {
		if f.key != nil {
			kept = append(kept, f)
		}
	}
	next.fields = kept
	for _, f := range e.fields {
		if string(f.key) == "Content-Type" || string(f.key) == "Content-Encoding" {
			next.fields = append(next.fields, f)
		}
	}
	next.body, next.forms, next.host, next.path = e.body, e.forms, e.host, e.path
	return next
}

// answerAge is the value of Age.
func answerAge(b []byte, age time.Duration) []byte {
	return strconv.AppendInt(b, int64(max(0, age)/time.Second), 10)
}
