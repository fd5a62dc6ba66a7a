package auth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
)

// through asks an upstream: over the connections, with the TLS and the protocol of its targets, whose figures and health it counts in.
type through struct {
	upstream *balance.Upstream
	attempts int // at connecting; other failures are not repeated
}

func newThrough(u *balance.Upstream) *through {
	t := &through{u, 1}
	if c := u.Config().Retry; slices.Contains(c.On, "connect") {
		t.attempts = max(1, c.Attempts)
	}
	return t
}

// do sends a request without a body. Closing the body of the answer ends it. The error is a problem if no target is well, or that of the target.
func (t *through) do(q *http.Request) (*http.Response, error) {
	var tried []*balance.Target
	for attempt := 1; ; attempt++ {
		target, err := t.upstream.Pick(&balance.Pick{Tried: tried})
		if err != nil {
			return nil, err
		}
		answer, err := t.send(target, q)
		var e *upstream.Error
		if err == nil || attempt >= t.attempts || !errors.As(err, &e) || e.Stage != upstream.Connect || q.Context().Err() != nil || !t.upstream.MayRetry() {
			return answer, err
		}
		tried = append(tried, target)
	}
}

func (t *through) send(target *balance.Target, q *http.Request) (*http.Response, error) {
	target.Begin()
	began := time.Now()
	var answer *http.Response
	var err error
	if t.upstream.Config().Protocol == "h2" {
		to := *q.URL
		to.Scheme, to.Host = target.URL().Scheme, target.URL().Host
		q = q.WithContext(q.Context())
		q.URL, q.Host = &to, to.Host
		answer, err = target.Transport().RoundTrip(q)
	} else {
		answer, err = sendH1(target, q)
	}
	if err != nil {
		var e *upstream.Error
		target.End(!errors.As(err, &e) || e.Stage != upstream.Busy && e.Stage != upstream.Source, 0, time.Since(began))
		return nil, err
	}
	answer.Body = &counted{ReadCloser: answer.Body, end: func(failed bool) { target.End(failed, answer.StatusCode, time.Since(began)) }}
	return answer, nil
}

// sendH1 asks over HTTP/1.1.
func sendH1(target *balance.Target, q *http.Request) (*http.Response, error) {
	head := append([]byte("GET "), q.URL.RequestURI()...)
	head = append(append(append(head, " HTTP/1.1\r\nHost: "...), target.URL().Host...), "\r\n"...)
	for name, values := range q.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, &upstream.Error{Stage: upstream.Source, Err: errors.New("a header of the request cannot be passed on")}
			}
			head = append(append(append(append(head, name...), ": "...), value...), "\r\n"...)
		}
	}
	call := upstream.Call{Head: head, Method: []byte(http.MethodGet)}
	call.Deadline, _ = q.Context().Deadline()
	response := fasthttp.AcquireResponse()
	if err := target.Client().Do(&call, response); err != nil {
		fasthttp.ReleaseResponse(response)
		return nil, err
	}
	answer := &http.Response{StatusCode: response.StatusCode(), Header: http.Header{}}
	for name, value := range response.Header.All() {
		answer.Header.Add(string(name), string(value))
	}
	switch {
	case call.Tunnel != nil:
		_ = call.Tunnel.Close()
		fasthttp.ReleaseResponse(response)
		return nil, errors.New("the target changed the protocol")
	case call.Stream != nil:
		answer.Body = call.Stream
	default:
		answer.Body = io.NopCloser(bytes.NewReader(bytes.Clone(response.Body())))
	}
	fasthttp.ReleaseResponse(response)
	return answer, nil
}

// counted is the body of an answer, with which a request to a target ends.
type counted struct {
	io.ReadCloser
	failed bool
	end    func(failed bool)
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.failed = c.failed || err != nil && err != io.EOF
	return n, err
}

// Close implements io.Closer.
func (c *counted) Close() error {
	err := c.ReadCloser.Close()
	if c.end != nil {
		c.end(c.failed)
		c.end = nil
	}
	return err
}
