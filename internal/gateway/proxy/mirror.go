package proxy

import (
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
)

// mostCopies bounds the copies of a route that are under way. One more is dropped: the original never waits.
const mostCopies = 64

// mirror sends copies of requests to an upstream and drops the answers.
type mirror struct {
	to      *way
	metrics *Metrics
	free    chan struct{}
}

func newMirror(to *way, m *Metrics) *mirror {
	return &mirror{to: to, metrics: m, free: make(chan struct{}, mostCopies)}
}

type copied struct {
	head, body []byte
	call       upstream.Call
	resp       fasthttp.Response
}

var copies = sync.Pool{New: func() any { return &copied{} }}

// send copies a request whose body is in memory.
func (m *mirror) send(x *passage, r *exchange.Request) {
	if x.call.Body != nil || x.call.Upgrade || m.to.h2 {
		m.count("dropped")
		return
	}
	select {
	case m.free <- struct{}{}:
	default:
		m.count("dropped")
		return
	}
	c := copies.Get().(*copied)
	c.head = append(c.head[:0], x.call.Head...)
	c.body = append(c.body[:0], x.call.Whole...)
	end := 0 // of the method
	for c.head[end] != ' ' {
		end++
	}
	c.call = upstream.Call{Head: c.head, Method: c.head[:end], TE: x.call.TE}
	if x.call.Whole != nil {
		c.call.Whole = c.body
	}
	pick := balance.Pick{}
	if m.to.hash != nil {
		pick.Hash = m.to.hash(r)
	}
	go m.run(c, pick)
}

func (m *mirror) run(c *copied, pick balance.Pick) {
	result := "failed"
	defer func() {
		c.call = upstream.Call{}
		c.resp.Reset()
		copies.Put(c)
		m.count(result)
		<-m.free
	}()
	target, err := m.to.Pick(&pick)
	if err != nil {
		return
	}
	if m.to.total > 0 {
		c.call.Deadline = time.Now().Add(m.to.total)
	}
	target.Begin()
	began := time.Now()
	err = target.Client().Do(&c.call, &c.resp)
	if err == nil && c.call.Stream != nil {
		_, err = io.Copy(io.Discard, c.call.Stream)
		_ = c.call.Stream.Close()
	}
	if err != nil {
		target.End(true, 0, time.Since(began))
		return
	}
	target.End(false, c.resp.StatusCode(), time.Since(began))
	result = "ok"
}

func (m *mirror) count(result string) { m.metrics.mirrored.WithLabelValues(m.to.Name(), result).Inc() }
