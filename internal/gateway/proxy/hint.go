package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// hinted are the headers of an answer of status 103 that go on: those that tell a browser something before the answer is there. Others, such as
// Set-Cookie, would go past the policies for answers.
var hinted = []string{"Link", "Content-Security-Policy", "Content-Security-Policy-Report-Only", "Cross-Origin-Embedder-Policy", "Referrer-Policy"}

// hintsOf are those that the route does not edit in answers.
func hintsOf(e *config.Edit) []string {
	list := make([]string, 0, len(hinted))
	for _, name := range hinted {
		if !edits(e, name) {
			list = append(list, name)
		}
	}
	return list
}

func edits(e *config.Edit, name string) bool {
	if e != nil {
		for other := range e.Response {
			if strings.EqualFold(other, name) {
				return true
			}
		}
	}
	return false
}

// early passes an answer of status 103 of an upstream with HTTP/1.1 on.
func (x *passage) early(_ int, h *fasthttp.ResponseHeader) {
	fields := http.Header{}
	for _, name := range x.proxy.hints {
		for _, value := range h.PeekAll(name) {
			fields[name] = append(fields[name], string(value))
		}
	}
	if len(fields) > 0 {
		x.asked.Hint(fields)
	}
}

// hints are answers of status 103 of an upstream with HTTP/2. They come in the goroutine that reads its connection, which must not wait for a client.
type hints struct {
	request *exchange.Request
	names   []string

	writing sync.Mutex // held while one is given to the client
	mu      sync.Mutex
	over    bool
	count   int
	waiting []http.Header
}

// mostHints is how many answers of status 103 may come before the final one.
const mostHints = 16

var errHints = errors.New("there are more than 16 interim answers")

// hear lets an attempt hear of them.
func (h *hints) hear(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: h.take})
}

func (h *hints) take(status int, header textproto.MIMEHeader) error {
	if status != http.StatusEarlyHints {
		return nil
	}
	fields := http.Header{}
	for _, name := range h.names {
		if values := header[name]; len(values) > 0 {
			fields[name] = values
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count++; h.count > mostHints {
		return errHints
	}
	if h.over || len(fields) == 0 {
		return nil
	}
	if h.waiting = append(h.waiting, fields); len(h.waiting) == 1 {
		go h.give()
	}
	return nil
}

// give writes what waits.
func (h *hints) give() {
	h.writing.Lock()
	defer h.writing.Unlock()
	h.mu.Lock()
	list := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	for _, fields := range list {
		h.request.Hint(fields)
	}
}

// end gives what waits yet. Nothing is written to the client after it.
func (h *hints) end() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.give()
}
