// Package compress is the policy that compresses answers, and decodes the bodies of requests.
package compress

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// policy is what a section compress says.
type policy struct {
	encoders *Encoders
	offered  []encoding
	level    string
	keys     [encodings]string // of what is kept beside a body
	least    int
	types    *media
	memory   int64
	ratio    int64
}

// New makes the policy. Encoders are shared by all.
func New(c *config.Compress, encoders *Encoders) (exchange.Policy, error) {
	p := &policy{encoders: encoders, level: c.Level, least: int(c.MinSize), types: newMedia(c.Types), memory: int64(c.Memory), ratio: int64(c.MaxRatio)}
	for e, name := range names {
		p.keys[e] = name + " " + c.Level
	}
	offered := c.Encodings
	if len(offered) == 0 {
		offered = config.Encodings
	}
	for _, name := range offered {
		e, ok := named([]byte(name))
		if !ok || e == identity {
			return exchange.Policy{}, problem.New("HR9003", "%q is not an encoding", name)
		}
		p.offered = append(p.offered, e)
	}
	out := exchange.Policy{Finish: p.finish}
	if c.Decompress {
		out.Admit = p.admit
	}
	return out, nil
}

// finish compresses the answer if that may be done and is worth it.
func (p *policy) finish(r *exchange.Request) {
	h := &r.Response.Header
	status := r.Response.StatusCode()
	switch {
	case status == fasthttp.StatusNotModified:
		p.unchanged(r)
		return
	case status < 200, status == fasthttp.StatusNoContent, status == fasthttp.StatusPartialContent:
		return
	}
	if !p.types.has(h.ContentType()) || len(h.ContentEncoding()) > 0 || r.Response.Header.PeekBytes(contentRange) != nil || digested(h) ||
		holds(h.Peek("Cache-Control"), "no-transform") {
		return
	}
	stream := r.AnswerBody()
	var size int
	switch {
	case r.IsHead():
		if size = h.ContentLength(); size == 0 && !r.Response.IsBodyStream() {
			size = len(r.Response.Body())
		}
	case stream != nil:
		size = h.ContentLength()
	case r.Response.IsBodyStream():
		return // not given with Answer: it writes to the connection itself
	default:
		size = len(r.Response.Body())
	}
	if size >= 0 && size < p.least {
		return
	}
	vary(h)
	chosen := negotiate(r.Request.Header.PeekAll("Accept-Encoding"), p.offered)
	if chosen == identity {
		return
	}
	if kept := r.Kept(); kept != nil {
		p.kept(r, kept, chosen)
		return
	}
	if r.IsHead() { // what a GET would have, whose length nobody knows
		encoded(h, chosen)
		if stream == nil {
			r.Response.ResetBody()
			r.Response.SkipBody = true
		}
		h.SetContentLength(-1)
		return
	}
	most := p.memory
	if stream != nil {
		most /= 2 // who knows for how long
	}
	e := p.encoders.get(p.level, chosen, most)
	if e == nil {
		p.encoders.Traffic.passed.Inc()
		return
	}
	if stream != nil {
		r.ReplaceAnswer(newStream(stream, e), -1)
	} else {
		shorter := p.whole(r, e)
		e.put()
		if !shorter {
			return
		}
	}
	p.encoders.Traffic.by[chosen].Inc()
	encoded(h, chosen)
}

// kept answers with the compressed form that is kept beside a body, as a GET and as the head of one. The first who wants it makes it.
func (p *policy) kept(r *exchange.Request, kept exchange.Kept, chosen encoding) {
	t := p.encoders.Traffic
	form, ok := kept.Form(p.keys[chosen])
	switch {
	case ok && form != nil:
		t.reused.Inc()
	case !ok:
		if form, ok = kept.Make(p.keys[chosen], func(body []byte) ([]byte, bool) { return p.form(body, chosen) }); !ok {
			t.passed.Inc()
			return
		}
	}
	if form == nil {
		return
	}
	t.before.Add(float64(len(r.Response.Body())))
	t.after.Add(float64(len(form)))
	t.by[chosen].Inc()
	r.Response.SetBodyRaw(form)
	encoded(&r.Response.Header, chosen)
}

// form compresses a body, in memory of its own; nil if that makes it no shorter. ok is false if encoders hold all of the memory.
func (p *policy) form(body []byte, chosen encoding) (form []byte, ok bool) {
	e := p.encoders.get(p.level, chosen, p.memory)
	if e == nil {
		return nil, false
	}
	defer e.put()
	if out := e.whole(body); len(out) < len(body) {
		return bytes.Clone(out), true
	}
	return nil, true
}

// whole compresses a body in memory, unless that makes it no shorter.
func (p *policy) whole(r *exchange.Request, e *encoder) bool {
	body := r.Response.Body()
	out := e.whole(body)
	if len(out) >= len(body) {
		return false
	}
	p.encoders.Traffic.before.Add(float64(len(body)))
	p.encoders.Traffic.after.Add(float64(len(out)))
	e.out.b = r.Response.SwapBody(out)[:0] // the memory of the one is that of the next
	return true
}

// unchanged is for a 304: the tag that the client knows is the weak one, and so must be the one it is answered with.
func (p *policy) unchanged(r *exchange.Request) {
	h := &r.Response.Header
	if tag := h.Peek("Etag"); len(tag) > 0 && tag[0] == '"' {
		for _, known := range r.Request.Header.PeekAll("If-None-Match") {
			if i := bytes.Index(known, tag); i >= 2 && known[i-1] == '/' && known[i-2] == 'W' {
				weaken(h)
				break
			}
		}
	}
	vary(h)
}

var contentRange = []byte("Content-Range")

// digested tells whether the answer has a sum of its bytes, which compression would make wrong.
func digested(h *fasthttp.ResponseHeader) bool {
	for _, name := range [...]string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5"} {
		if len(h.Peek(name)) > 0 {
			return true
		}
	}
	return false
}

// vary tells caches that the answer depends on Accept-Encoding.
func vary(h *fasthttp.ResponseHeader) {
	all := h.PeekAll("Vary")
	for _, list := range all {
		if holds(list, "accept-encoding") || holds(list, "*") {
			return
		}
	}
	if len(all) == 0 {
		h.Set("Vary", "Accept-Encoding")
		return
	}
	h.Set("Vary", string(bytes.Join(all, []byte(", ")))+", Accept-Encoding")
}

// encoded makes the head that of a body that is compressed.
func encoded(h *fasthttp.ResponseHeader, e encoding) {
	weaken(h)
	h.Del("Accept-Ranges")
	h.SetContentEncoding(names[e])
}

// weaken makes a strong tag weak: the bytes are not those that it stands for any more.
func weaken(h *fasthttp.ResponseHeader) {
	if tag := h.Peek("Etag"); len(tag) > 0 && tag[0] == '"' {
		h.Set("Etag", "W/"+string(tag))
	}
}
