package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// forward is the way forward.
type forward struct {
	config  *config.Forward
	address string
	do      func(*http.Request) (*http.Response, error)
	send    []string
	copies  []string
	made    *headers
	log     *slog.Logger
	warned  warned
}

func addForward(c *config.Auth, d Deps, p *policy) error {
	if c.Forward == nil {
		return nil
	}
	f := &forward{config: c.Forward, address: c.Forward.To, made: p.headers, log: d.Log}
	if name, path, _ := strings.Cut(c.Forward.To, "/"); !strings.Contains(c.Forward.To, "://") {
		if d.Find == nil {
			return errors.New("auth: there is nobody to find an upstream")
		}
		u := d.Find(name)
		if u == nil {
			return problem.New("HR9003", "there is no upstream %q", name).Hinting("add it below upstreams")
		}
		f.address, f.do = "http://upstream/"+path, newThrough(u).do // the target has its own scheme and host
	} else {
		client, err := d.Registry.clients.get(struct {
			What        string
			Connections int
		}{"forward", c.Forward.MaxConnections}, func() (*http.Client, error) { return newClient(c.Forward.MaxConnections), nil })
		if err != nil {
			return err
		}
		f.do = client.Do
	}
	for _, name := range c.Forward.Send {
		f.send = append(f.send, textproto.CanonicalMIMEHeaderKey(name))
	}
	for _, name := range c.Forward.Copy {
		f.copies = append(f.copies, textproto.CanonicalMIMEHeaderKey(name))
	}
	p.add("forward", f.ask, "")
	return nil
}

// newClient asks services: over HTTP/1.1, by at most so many connections to each, following no redirects.
func newClient(connections int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{}).DialContext, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, MaxIdleConns: 2 * connections,
			IdleConnTimeout: 90e9, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// question is what the service is asked.
func (f *forward) question(ctx context.Context, r *exchange.Request) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, f.address, nil)
	if err != nil {
		return nil, problem.New("HR4049", "%w", err)
	}
	q.Header["User-Agent"] = nil // that of the client, or none
	for _, name := range f.send {
		for _, value := range r.Request.Header.PeekAll(name) {
			q.Header[name] = append(q.Header[name], string(value))
		}
	}
	proto := "http"
	if r.Secure() {
		proto = "https"
	}
	for name, value := range map[string]string{
		"X-Forwarded-Method": string(r.Method()), "X-Forwarded-Proto": proto, "X-Forwarded-Host": string(r.Host()), "X-Forwarded-Uri": string(r.RequestURI()),
		"X-Forwarded-For": r.Client().String(), "X-Request-Id": r.ID(),
	} {
		q.Header.Set(name, value)
	}
	return q, nil
}

func (f *forward) ask(r *exchange.Request) (*grant, error) {
	ctx, cancel := context.WithTimeout(r.Running(), f.config.Timeout)
	defer cancel()
	q, err := f.question(ctx, r)
	if err != nil {
		return nil, err
	}
	answer, err := f.do(q)
	if err != nil {
		return nil, f.failure(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, int64(f.config.MaxBody))) // so that the connection can be used again
		return f.pass(answer), nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, int64(f.config.MaxBody)+1))
	if err != nil {
		return nil, f.failure(ctx, err)
	}
	if len(body) > int(f.config.MaxBody) {
		return nil, problem.New("HR4049", "the answer is larger than %s", f.config.MaxBody)
	}
	relay(r, answer, body)
	return nil, exchange.Answered
}

// failure tells the client that there is no decision; why, and addresses, are in the log.
func (f *forward) failure(ctx context.Context, err error) error {
	var p *problem.Error
	if errors.As(err, &p) { // of the upstream
		return p
	}
	f.warned.warn(f.log, "service that decides failed", "to", f.config.To, observe.Error(err))
	var e *upstream.Error
	if ctx.Err() != nil || errors.As(err, &e) && e.Timeout && e.Stage != upstream.Connect {
		return problem.New("HR4050", "the service did not decide within %s", f.config.Timeout)
	}
	return problem.New("HR4049", "the service that decides cannot be asked")
}

// pass takes from the answer who asks and what the upstream is told.
func (f *forward) pass(answer *http.Response) *grant {
	g := &grant{identity: &identity.Identity{Method: "forward"}}
	if f.config.Subject != "" {
		g.identity.Subject = answer.Header.Get(f.config.Subject)
	}
	g.headers = f.made.of(g.identity)
	for _, name := range f.copies {
		if values := answer.Header[name]; len(values) > 0 {
			g.headers = append(g.headers, newHeader(name, strings.Join(values, ", ")))
		}
	}
	return g
}

// hop are headers of a connection, which are not passed on.
var hop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Content-Length": true,
}

// relay gives the service's answer to the client.
func relay(r *exchange.Request, answer *http.Response, body []byte) {
	r.Response.ResetBody()
	r.SetStatusCode(answer.StatusCode)
	named := strings.Split(strings.Join(answer.Header["Connection"], ","), ",")
	for name, values := range answer.Header {
		if hop[name] {
			continue
		}
		for _, n := range named {
			if textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(n)) == name {
				values = nil
			}
		}
		for _, value := range values {
			r.Response.Header.Add(name, value)
		}
	}
	r.Response.SetBody(body)
}
