package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// function is the way function.
type function struct {
	config  *config.FunctionAuth
	call    func(ctx context.Context, name string, args []byte) ([]byte, error)
	route   string
	headers *headers
	log     *slog.Logger
	known   *recall[[sha256.Size]byte, *verdict]
	warned  warned
}

const knownRequests = 8192

func addFunction(c *config.Auth, d Deps, p *policy) error {
	if c.Function == nil {
		return nil
	}
	if d.Call == nil {
		return errors.New("auth: there is nobody to call functions")
	}
	f := &function{config: c.Function, call: d.Call, route: d.Route, headers: p.headers, log: d.Log, known: newRecall[[sha256.Size]byte, *verdict](knownRequests)}
	p.add("function", f.ask, "Bearer")
	return nil
}

// asked is what a function is given; which members there are is configured.
type asked struct {
	Method  string            `json:"method,omitempty"`
	Host    string            `json:"host,omitempty"`
	Path    string            `json:"path,omitempty"`
	Query   *string           `json:"query,omitempty"`
	Address string            `json:"address,omitempty"`
	Route   string            `json:"route,omitempty"`
	Headers map[string]string `json:"headers"`
}

func (f *function) given(r *exchange.Request) *asked {
	a := &asked{Headers: map[string]string{}}
	for _, part := range f.config.Given {
		switch part {
		case "method":
			a.Method = string(r.Method())
		case "host":
			a.Host = string(r.Host())
		case "path":
			a.Path = string(r.Path())
		case "query":
			query := string(r.URI().QueryString())
			a.Query = &query
		case "address":
			a.Address = r.Client().String()
		case "route":
			a.Route = f.route
		}
	}
	for _, name := range f.config.Headers {
		if value := joined(r, name); value != "" {
			a.Headers[strings.ToLower(name)] = value
		}
	}
	return a
}

// joined is the value of a header that may be there several times.
func joined(r *exchange.Request, name string) string {
	values := r.Request.Header.PeekAll(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return string(values[0])
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

func (f *function) ask(r *exchange.Request) (*grant, error) {
	args, err := json.Marshal(map[string]*asked{"request": f.given(r)})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	key := sha256.Sum256(args)
	if f.config.Cache > 0 {
		if v, ok := f.known.get(key, now); ok {
			return v.grant, v.err
		}
	}
	ctx, cancel := context.WithTimeout(r.Running(), f.config.Timeout)
	defer cancel()
	result, err := f.call(ctx, f.config.Name, args)
	if err != nil {
		if err = f.denied(err); problem.From(err).Code != "HR4051" {
			return nil, err // it may go better next time
		}
	}
	v := &verdict{err: err}
	if err == nil {
		if v, err = f.judge(result); err != nil {
			return nil, err
		}
	}
	if f.config.Cache > 0 {
		f.known.put(key, v, now, f.config.Cache)
	}
	return v.grant, v.err
}

// denied makes a refusal of what a function raised as hr.Deny, and leaves tracebacks to the log: what a client is told says nothing of the code. A
// function that is not there, or takes other arguments, is no fault of the client.
func (f *function) denied(err error) error {
	p := problem.From(err)
	var raised *workers.TaskError
	switch {
	case errors.As(err, &raised) && raised.Type == "Deny":
		return problem.New("HR4051", "%s", raised.Message)
	case p.Code == "HR2015":
		f.log.Warn("function raised", "function", f.config.Name, "error", p.What)
		what, _, _ := strings.Cut(p.What, "\n")
		return problem.New("HR2015", "%s", what)
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New("HR4050", "the function did not decide within %s", f.config.Timeout)
	case p.Code != "HR2020" && p.Status() < 500:
		f.warned.warn(f.log, "function that decides cannot be called", "function", f.config.Name, observe.Error(err))
		return problem.New("HR4049", "the function that decides cannot be called").Answering(503)
	}
	return err
}

// judge reads what the function returned.
func (f *function) judge(result []byte) (*verdict, error) {
	var said *struct {
		Subject string          `json:"subject"`
		Scopes  []string        `json:"scopes"`
		Claims  json.RawMessage `json:"claims"`
	}
	if err := json.Unmarshal(result, &said); err != nil {
		return nil, problem.New("HR4052", "%s returned %.100q", f.config.Name, result)
	}
	if said == nil {
		return &verdict{}, nil
	}
	if len(said.Claims) > 0 && string(said.Claims) != "null" && said.Claims[0] != '{' {
		return nil, problem.New("HR4052", "%s returned claims that are no object", f.config.Name)
	}
	who := &identity.Identity{Method: "function", Subject: said.Subject, Scopes: said.Scopes, Claims: said.Claims}
	return &verdict{grant: &grant{who, f.headers.of(who)}}, nil
}
