package cache

import (
	"encoding/binary"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// passes is how long it is remembered that answers of a key are not kept, so that nobody waits for them. One that may be kept ends it.
const passes = 10 * time.Second

// unkeptDetail is in Cache-Status of an answer that nobody waited for.
const unkeptDetail = "; detail=unkept"

// fetch asks the upstream, with the validators of an entry if there is one, and keeps the answer if it may. f is ended in any case, at the
// latest when the body was read.
func (p *policy) fetch(r *exchange.Request, t *try, e *entry, f *flight, at id, why string) error {
	s := p.store
	streaming := false
	defer func() {
		if !streaming {
			f.end(unkept, nil) // does nothing if it is over
		}
	}()
	h := &r.Request.Header
	p.clean(r)
	h.Del("If-None-Match")
	h.Del("If-Modified-Since")
	if len(t.wanted) > 0 {
		h.Del("Range")
		h.Del("If-Range")
	}
	if r.Standard != nil {
		for _, name := range []string{"If-None-Match", "If-Modified-Since", "Range", "If-Range"} {
			r.Standard.Request.Header.Del(name)
		}
	}
	conditional := e != nil && e.validated()
	if conditional {
		if len(e.etag) > 0 {
			h.SetBytesV("If-None-Match", e.etag)
		}
		if len(e.modified) > 0 {
			h.SetBytesV("If-Modified-Since", e.modified)
		}
	}
	t.asked, t.generation, t.purges = s.now(), s.generation(t.uri).Load(), s.purges.Load()
	err := p.next(r)
	if taken(r) {
		p.counts[bypass].Add(1)
		return err
	}
	status := r.Response.StatusCode()
	if failed(err, status) {
		if now := s.now(); t.consoles(s, e, now) {
			r.Response.Reset()
			f.end(failure, err)
			return p.give(r, t, e, now, "hit; detail=error", stale)
		}
	}
	if err != nil {
		if failed(err, 0) {
			f.end(failure, err)
		}
		p.counts[miss].Add(1)
		return err
	}
	if conditional && status == fasthttp.StatusNotModified {
		switch next := p.refreshed(e, r, t); {
		case next != nil:
			e = next
			p.keep(r, t, at, next)
		case !p.own(t):
			s.kept.Invalidate(at)
		}
		f.end(stored, nil)
		r.Response.Reset()
		return p.give(r, t, e, s.now(), "fwd=stale; fwd-status=304", revalidated)
	}
	p.counts[miss].Add(1)
	next := p.assess(r, t)
	if next != nil && !p.varies(r, next) {
		next = nil
	}
	body := r.AnswerBody()
	size := int64(r.Response.Header.ContentLength())
	if body == nil && !r.Response.IsBodyStream() {
		size = int64(len(r.Response.Body()))
	}
	if next == nil || size > int64(p.c.MaxBody) || body == nil && r.Response.IsBodyStream() {
		if !failed(nil, status) {
			p.pass(t, at)
		}
		t.told(r, why, nil, 0)
		return nil
	}
	kept := strings.TrimSuffix(why, unkeptDetail) + "; stored"
	next.host, next.path = hostPath(r)
	put := func(e *entry) { p.keep(r, t, at, e) }
	if body == nil {
		next.body = slices.Clone(r.Response.Body())
		put(next)
		f.end(stored, nil)
		t.told(r, kept, nil, 0)
		if status == fasthttp.StatusOK && t.has(next) {
			r.Response.ResetBody()
			r.SetStatusCode(fasthttp.StatusNotModified)
		}
		return nil
	}
	c := &capture{from: body, size: size, filler: &filler{policy: p, entry: next, flight: f, put: p.later(r, t, at, next)}}
	if size > 0 {
		if !c.filler.reserve(size) {
			p.pass(t, at)
			t.told(r, why, nil, 0)
			return nil
		}
		c.filler.body = make([]byte, 0, size)
	}
	streaming = true
	r.ReplaceAnswer(c, size)
	t.told(r, kept, nil, 0)
	return nil
}

// failed tells whether the upstream did not do its work.
func failed(err error, status int) bool {
	if err != nil {
		status = problem.From(err).Status()
	}
	return status == 500 || status == 502 || status == 503 || status == 504
}

// pass remembers that answers of a key are not kept, which replaces what was kept before. An answer that is not kept for what its request
// says tells nothing of the others.
func (p *policy) pass(t *try, at id) {
	if !t.cc.noStore {
		p.store.kept.Set(t.crowd(p, at), &entry{pass: p.store.now() + passes})
	}
}

// own tells whether an answer may not be kept for what its request says, whatever it says itself.
func (p *policy) own(t *try) bool { return t.cc.noStore || t.known && !p.c.Private }

// varies finds by which headers an answer differs; false if it must not be kept for that.
func (p *policy) varies(r *exchange.Request, e *entry) bool {
	var names []string
	for _, value := range r.Response.Header.PeekAll("Vary") {
		var any bool
		if names, any = appendVary(names, value); any {
			return false
		}
	}
	for _, name := range names {
		if !p.anyVary && !slices.Contains(p.vary, name) && !slices.Contains(p.c.Headers, name) {
			return false
		}
	}
	e.vary = names
	return true
}

// keep puts an entry where a request like r finds it.
func (p *policy) keep(r *exchange.Request, t *try, at id, e *entry) {
	if e = p.place(r, t, &at, e); e != nil && t.purges == p.store.purges.Load() {
		p.store.put(at, e)
	}
}

// place finds the key of an answer, and marks the key of its address if it differs by headers.
func (p *policy) place(r *exchange.Request, t *try, at *id, e *entry) *entry {
	names := e.vary
	if names == nil {
		for _, f := range e.fields {
			if string(f.key) == "Vary" {
				names, _ = appendVary(names, f.value)
			}
		}
	}
	e.vary = nil
	mark, _ := p.store.kept.GetIfPresent(t.primary)
	if mark != nil && mark.vary != nil {
		for _, name := range mark.vary {
			names, _ = appendVary(names, []byte(name))
		}
	}
	if len(names) == 0 {
		return e
	}
	if mark == nil || mark.vary == nil || len(mark.vary) != len(names) {
		p.store.kept.Set(t.primary, &entry{vary: names})
	}
	*at = p.variant(r, t, names)
	return e
}

// later is keep for when the request is over.
func (p *policy) later(r *exchange.Request, t *try, at id, e *entry) func(*entry) {
	e = p.place(r, t, &at, e)
	purges := t.purges
	return func(*entry) {
		if purges == p.store.purges.Load() {
			p.store.put(at, e)
		}
	}
}

func (s *Store) uri(key []byte) uint64 { return maphash.Bytes(s.seeds[2], key) }

func appendID(b []byte, i id) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, i.a), i.b)
}

// hostPath are what purges go by.
func hostPath(r *exchange.Request) (host, path string) {
	return strings.ToLower(string(r.Host())), string(r.Path())
}

// drain reads an answer that nobody waits for.
func drain(r *exchange.Request) {
	if body := r.AnswerBody(); body != nil {
		_, _ = io.Copy(io.Discard, body)
	}
}
