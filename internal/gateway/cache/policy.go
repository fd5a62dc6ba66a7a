package cache

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

type policy struct {
	store    *Store
	route    string
	c        config.Cache
	tags     string // in lower case; empty is none
	vary     []string
	anyVary  bool
	unkeyed  []string
	byStatus map[int]time.Duration
	counts   *outcomes
	next     exchange.Handler
}

// New is the policy of a route, whose name is part of the key. The answers live on when the configuration is loaded again, unless c differs
// in what the key is made from.
func (s *Store) New(route string, c *config.Cache) (exchange.Policy, error) {
	p := &policy{store: s, route: route, c: *c, counts: s.of(route), byStatus: map[int]time.Duration{}}
	p.c.Headers = canonicals(c.Headers)
	if c.Tags != "" {
		p.tags = strings.ToLower(c.Tags)
	}
	p.vary, p.anyVary = canonicals(c.Vary), slices.Contains(c.Vary, "*")
	for _, name := range unkeyed {
		if !slices.Contains(p.c.Headers, name) {
			p.unkeyed = append(p.unkeyed, name)
		}
	}
	for status, ttl := range c.Status {
		n, err := strconv.Atoi(status)
		if err != nil {
			return exchange.Policy{}, problem.New("HR9003", "%q is not a status", status).At(route).Hinting("write a status such as 404")
		}
		p.byStatus[n] = ttl
	}
	return exchange.Policy{Around: func(next exchange.Handler) exchange.Handler {
		around := *p
		around.next = next
		return around.serve
	}}, nil
}

func canonicals(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = canonical(name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// try is what is known of a request while it is answered.
type try struct {
	primary    id
	uri        uint64
	cc         directives
	known      bool          // it shows who asks
	aside      bool          // it asks for what the cache does not do
	asked      time.Duration // when the upstream was asked
	generation uint32        // of uri, then
	purges     uint64        // likewise
	// What the client asked for, which the upstream is not asked.
	tags, since, wanted, ifRange []byte

	key, text, buffer []byte
}

var tries = sync.Pool{New: func() any { return &try{text: make([]byte, 0, 128)} }}

func (t *try) release() {
	*t = try{key: t.key[:0], text: t.text[:0], buffer: t.buffer[:0], tags: t.tags[:0], since: t.since[:0], wanted: t.wanted[:0], ifRange: t.ifRange[:0]}
	tries.Put(t)
}

func (p *policy) serve(r *exchange.Request) error {
	h := &r.Request.Header
	if !h.IsGet() && !h.IsHead() {
		return p.change(r)
	}
	t := tries.Get().(*try)
	defer t.release()
	t.buffer = p.filter(r, t.buffer)
	t.buffer = plainEncodings(r, t.buffer)
	p.read(r, t)
	if n := h.ContentLength(); n > 0 || n == -1 || t.aside {
		return p.aside(r, t, "fwd=bypass")
	}
	return p.find(r, t)
}

// aside passes a request on that the cache has nothing to do with.
func (p *policy) aside(r *exchange.Request, t *try, why string) error {
	p.clean(r)
	p.counts[bypass].Add(1)
	err := p.next(r)
	if err == nil && !taken(r) {
		t.told(r, why, nil, 0)
	}
	return err
}

func taken(r *exchange.Request) bool { return r.Standard != nil && r.Standard.Taken }

// change passes a request on that may change something. If it was not in vain, what is kept of its address is asked for again.
func (p *policy) change(r *exchange.Request) error {
	t := tries.Get().(*try)
	defer t.release()
	t.key = appendURI(t.key[:0], r, r.Request.Header.RequestURI())
	uri := p.store.uri(t.key)
	safe := r.Request.Header.IsOptions() || r.Request.Header.IsTrace()
	err := p.next(r)
	if status := r.Response.StatusCode(); err == nil && !safe && status >= 200 && status < 400 {
		p.store.generation(uri).Add(1)
		for _, name := range []string{"Location", "Content-Location"} {
			if other, ok := local(r, r.Response.Header.Peek(name)); ok {
				t.key = appendURI(t.key[:0], r, other)
				p.store.generation(p.store.uri(t.key)).Add(1)
			}
		}
	}
	return err
}

// read takes from the request what decides.
func (p *policy) read(r *exchange.Request, t *try) {
	h := &r.Request.Header
	t.key = appendURI(t.key[:0], r, h.RequestURI())
	t.uri = p.store.uri(t.key)
	t.key = p.appendRest(t.key, r)
	t.primary = p.store.hash(t.key)
	t.known = r.Identity != nil
	t.cc = newDirectives()
	said, pragma := false, false
	for key, value := range h.All() { // one pass; a look for each name costs more than all the rest
		switch string(key) {
		case "Authorization":
			t.known = true
		case "Cache-Control":
			if said = true; !p.c.IgnoreClient {
				t.cc.parse(value)
			}
		case "Pragma":
			pragma = is(value, "no-cache")
		case "If-None-Match":
			t.tags = append(t.tags[:0], value...)
		case "If-Modified-Since":
			t.since = append(t.since[:0], value...)
		case "Range":
			t.wanted = append(t.wanted[:0], value...)
		case "If-Range":
			t.ifRange = append(t.ifRange[:0], value...)
		case "Upgrade", "If-Match", "If-Unmodified-Since":
			t.aside = true
		}
	}
	if pragma && !said && !p.c.IgnoreClient {
		t.cc.noCache = true
	}
}

// lookup returns the entry for a request, nil if there is none, and the key it has or would have.
func (p *policy) lookup(r *exchange.Request, t *try) (*entry, id) {
	e, _ := p.store.kept.GetIfPresent(t.primary)
	if e == nil || e.vary == nil {
		return e, t.primary
	}
	at := p.variant(r, t, e.vary)
	e, _ = p.store.kept.GetIfPresent(at)
	return e, at
}

// variant is the key of an answer that differs by headers.
func (p *policy) variant(r *exchange.Request, t *try, names []string) id {
	b := append(t.text[:0], "vary"...)
	b = appendID(b, t.primary)
	for _, name := range names {
		b = appendPart(b, []byte(name))
		b = appendField(b, r, name)
	}
	t.text = b[:0]
	return p.store.hash(b)
}

// find answers from what is kept, or asks the upstream, one for all that want the same.
func (p *policy) find(r *exchange.Request, t *try) error {
	s := p.store
	for again := false; ; again = true {
		e, at := p.lookup(r, t)
		now := s.now()
		crowd := t.crowd(p, at)
		passing := e.passing(now)
		if e != nil && e.pass != 0 {
			e = nil
		}
		if crowd != at && !passing {
			mark, _ := s.kept.GetIfPresent(crowd)
			passing = mark.passing(now)
		}
		verdict := old
		if e != nil {
			verdict = t.judge(s, e, now)
		}
		switch verdict {
		case fresh:
			text, counted := "hit", hit
			if again {
				text, counted = "fwd=miss; collapsed", collapsed
			}
			return p.give(r, t, e, now, text, counted)
		case refreshing:
			p.refresh(r, t, e, at)
			return p.give(r, t, e, now, "hit", stale)
		case late:
			return p.give(r, t, e, now, "hit", stale)
		}
		why := "fwd=uri-miss"
		switch {
		case e == nil && passing:
			why = "fwd=miss" + unkeptDetail
		case e != nil && t.cc.noCache:
			why = "fwd=request"
		case e != nil:
			why = "fwd=stale"
		case at != t.primary:
			why = "fwd=vary-miss"
		}
		switch {
		case t.cc.onlyIfCached:
			return problem.New("HR4071", "nothing is kept that answers the request, and it says only-if-cached")
		case r.Request.Header.IsHead(), e == nil && len(t.wanted) > 0, e == nil && passing && t.conditional():
			return p.aside(r, t, why)
		case passing, t.cc.noStore, t.cc.noCache, p.c.Wait == 0, again:
			return p.fetch(r, t, e, nil, at, why)
		}
		f, leads := s.join(crowd)
		if leads {
			return p.fetch(r, t, e, f, at, why)
		}
		timer := time.NewTimer(p.c.Wait)
		select {
		case <-f.done:
			timer.Stop()
		case <-timer.C:
			return p.fetch(r, t, e, nil, at, why+"; detail=waited")
		}
		switch f.result {
		case unkept:
			return p.fetch(r, t, e, nil, at, why)
		case failure:
			if now = s.now(); t.consoles(s, e, now) {
				return p.give(r, t, e, now, "hit; detail=error", stale)
			}
			if f.err == nil {
				return p.fetch(r, t, e, nil, at, why)
			}
			return f.err
		}
	}
}

// crowd is the key under which requests like this one wait for each other, and are remembered not to be kept. Who shows who he is has
// another than everybody, since his answers are most often his alone: they say nothing of those that others get.
func (t *try) crowd(p *policy, at id) id {
	if t.known && !p.c.Private {
		at.a = ^at.a
	}
	return at
}

// conditional tells whether the client asks if something has changed.
func (t *try) conditional() bool { return len(t.tags) > 0 || len(t.since) > 0 }

// give answers with an entry.
func (p *policy) give(r *exchange.Request, t *try, e *entry, now time.Duration, text string, counted outcome) error {
	p.counts[counted].Add(1)
	err := t.reply(r, e, now)
	if counted == hit || counted == stale {
		t.told(r, text, e, now)
	} else {
		t.told(r, text, nil, now)
	}
	return err
}

// refresh fetches an entry anew in the background, unless that is under way or too much else is.
func (p *policy) refresh(r *exchange.Request, t *try, e *entry, at id) {
	s := p.store
	select {
	case s.refreshing <- struct{}{}:
	default:
		return
	}
	f, leads := s.join(t.crowd(p, at))
	if !leads {
		<-s.refreshing
		return
	}
	later := r.Detach()
	own := &try{text: make([]byte, 0, 128)}
	p.read(later, own)
	own.cc = newDirectives()
	s.background.Go(func() {
		defer func() {
			if recover() != nil {
				later.Log().Error("panic while an answer was fetched in the background", "route", p.route)
			}
			f.end(unkept, nil)
			later.Close()
			<-s.refreshing
		}()
		if p.fetch(later, own, e, f, at, "") == nil {
			drain(later)
		}
	})
}

// local is the path and query of an address on the host of the request.
func local(r *exchange.Request, address []byte) ([]byte, bool) {
	if len(address) == 0 {
		return nil, false
	}
	if address[0] == '/' && (len(address) == 1 || address[1] != '/') {
		return address, true
	}
	u := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(u)
	if u.Parse(nil, address) != nil || string(u.Host()) != string(r.Host()) {
		return nil, false
	}
	return slices.Clone(u.RequestURI()), true
}
