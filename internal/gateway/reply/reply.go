// Package reply answers without asking anybody: with an address to go to, or with a fixed answer.
package reply

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/edit"
	"github.com/headrace/headrace/internal/gateway/template"
	"github.com/headrace/headrace/internal/problem"
)

// NewRedirect is the action redirect. The query of the request is passed on unless the address has one.
func NewRedirect(c *config.Route) (exchange.Handler, error) {
	status, text := 302, strings.TrimSpace(c.Redirect)
	if first, rest, ok := strings.Cut(text, " "); ok {
		n, err := strconv.Atoi(first)
		if err != nil || n != 301 && n != 302 && n != 303 && n != 307 && n != 308 {
			return nil, problem.New("HR9003", "%q is not the status of a redirect", first).Of("redirect").Hinting("write 301, 302, 303, 307 or 308 before the address")
		}
		status, text = n, strings.TrimSpace(rest)
	}
	address, err := template.NewAddress(text, c.Match)
	if err != nil {
		return nil, problem.From(err).Of("redirect")
	}
	passQuery := !strings.ContainsAny(text, "?#")
	return func(r *exchange.Request) error {
		var room [256]byte
		to, ok := address.Append(room[:0], r)
		if !ok {
			return problem.New("HR4001", "the path does not fit into the address that the route leads to")
		}
		for len(to) > 1 && to[0] == '/' && to[1] == '/' {
			to = to[1:] // which would be another host
		}
		if query := r.URI().QueryString(); passQuery && len(query) > 0 && !bytes.ContainsAny(query, "\r\n") {
			to = append(append(to, '?'), query...)
		}
		r.Response.SetStatusCode(status)
		r.Response.Header.SetBytesV("Location", to)
		return nil
	}, nil
}

// NewRespond is the action respond.
func NewRespond(c *config.Respond) (exchange.Handler, error) {
	headers, err := edit.NewHeaders(c.Headers, "/", "respond.headers")
	if err != nil {
		return nil, err
	}
	body := []byte(c.Body)
	return func(r *exchange.Request) error {
		r.Response.SetStatusCode(c.Status)
		var room [256]byte
		for i := range headers {
			if headers[i].Value != nil {
				value, _ := headers[i].Value.Append(room[:0], r)
				r.Response.Header.SetBytesV(headers[i].Name, value)
			}
		}
		if c.Status == 204 || c.Status == 304 {
			return nil
		}
		if c.Type != "" {
			r.Response.Header.SetContentType(c.Type)
		}
		r.Response.SetBodyRaw(body)
		return nil
	}, nil
}
