package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// forward is the way forward.
type forward struct {
	config *config.Forward
	client *http.Client
	pick   func() (address string, err error)
	send   []string
	copies []string
	made   *headers
}

func addForward(c *config.Auth, d Deps, p *policy) error {
	if c.Forward == nil {
		return nil
	}
	client, err := d.Registry.clients.get(struct {
		What        string
		Connections int
	}{"forward", c.Forward.MaxConnections}, func() (*http.Client, error) { return newClient(c.Forward.MaxConnections), nil })
	if err != nil {
		return err
	}
	f := &forward{config: c.Forward, client: client, made: p.headers, pick: func() (string, error) { return c.Forward.To, nil }}
	if name, path, _ := strings.Cut(c.Forward.To, "/"); !strings.Contains(c.Forward.To, "://") {
		if d.Pick == nil {
			return errors.New("auth: there is nobody to choose a target of an upstream")
		}
		f.pick = func() (string, error) {
			address, err := d.Pick(name)
			return strings.TrimSuffix(address, "/") + "/" + path, err
		}
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
	address, err := f.pick()
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
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
	answer, err := f.client.Do(q)
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

func (f *forward) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return problem.New("HR4050", "the service did not decide within %s", f.config.Timeout)
	}
	var network *net.OpError
	if errors.As(err, &network) {
		err = network.Err // without the address, which is no business of a client
	} else {
		err = fmt.Errorf("it cannot be understood")
	}
	return problem.New("HR4049", "the service cannot be asked: %w", err)
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
