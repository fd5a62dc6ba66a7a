// Package openapi holds requests and answers against an OpenAPI 3.1 document, and makes the document of the routes that headrace serves.
//
// Schemas are JSON Schema 2020-12, as OpenAPI 3.1 has them, and are compiled once.
package openapi

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// Deps are what a policy needs.
type Deps struct {
	Metrics *Metrics // nil counts for nobody
	Log     *slog.Logger
}

// mode is what is done about what does not fit.
type mode string

const (
	off     mode = "off"
	report  mode = "report"
	enforce mode = "enforce"
)

// policy is one document for one route.
type policy struct {
	paths               *paths
	base                string
	requests, responses mode
	most                int64
	title               string
	log                 *slog.Logger
	seldom              rate.Sometimes // of lines in the log
	count               misfits
}

// New compiles the document: HR4095 if it cannot be used.
func New(c *config.OpenAPI, title string, deps Deps) (exchange.Policy, error) {
	d, err := open(c.Document)
	if err != nil {
		return exchange.Policy{}, err
	}
	defer d.close()
	if deps.Metrics == nil {
		deps.Metrics = NewMetrics()
	}
	p := &policy{
		base: d.base(), requests: mode(c.Requests), responses: mode(c.Responses), most: int64(c.MaxBody), title: title, log: deps.Log,
		seldom: rate.Sometimes{First: 10, Interval: time.Second}, count: deps.Metrics.of(title),
	}
	if c.Base != "" {
		p.base = strings.TrimSuffix(c.Base, "/")
	}
	if p.paths, err = d.compile(); err != nil {
		return exchange.Policy{}, d.bad(err)
	}
	out := exchange.Policy{}
	if p.requests != off {
		out.Admit = p.admit
	}
	if p.requests != off || p.responses != off {
		out.Around = p.around
	}
	return out, nil
}

// find is the operation of a request: HR4090 or HR4096 if there is none.
func (p *policy) find(r *exchange.Request) (*operation, []pair, error) {
	text := string(r.Path())
	below, ok := strings.CutPrefix(text, p.base)
	if !ok || below != "" && below[0] != '/' {
		return nil, nil, problem.New("HR4090", "%.200s is not below %s", text, p.base)
	}
	if below == "" {
		below = "/"
	}
	at, values := p.paths.find(below)
	if at == nil {
		return nil, nil, problem.New("HR4090", "%.200s is not in the document", text)
	}
	o := at.operations[string(r.Method())]
	if o == nil && r.IsHead() {
		o = at.operations["GET"]
	}
	if o == nil {
		return nil, nil, problem.New("HR4096", "the document has no %s for %.200s", r.Method(), text).Hinting("use %s", at.allow)
	}
	return o, values, nil
}

// admit looks at what is there before the body is.
func (p *policy) admit(r *exchange.Request) error {
	o, values, err := p.find(r)
	if err == nil {
		if err = o.head(r, values); err == nil {
			return nil
		}
	} else if e := problem.From(err); e.Code == "HR4096" && p.requests == enforce {
		r.Response.Header.Set("Allow", strings.TrimPrefix(e.Hint, "use "))
	}
	return p.misfit(p.requests, "request", o, err)
}

// around looks at the body of the request, and at the answer.
func (p *policy) around(next exchange.Handler) exchange.Handler {
	return func(r *exchange.Request) error {
		o, _, err := p.find(r)
		if err != nil {
			return next(r)
		}
		if p.requests != off {
			if err := p.body(r, o); err != nil {
				return err
			}
		}
		if err := next(r); err != nil || p.responses == off {
			return err
		}
		if err := o.answer(r, p.most); err != nil {
			if err = p.misfit(p.responses, "answer", o, err); err != nil {
				for _, name := range [...]string{"Etag", "Last-Modified", "Cache-Control", "Content-Encoding", "Content-Disposition", "Expires", "Age"} {
					r.Response.Header.Del(name)
				}
				return err
			}
		}
		return nil
	}
}

// body looks at the body of a request, as far as it is one that can be read.
func (p *policy) body(r *exchange.Request, o *operation) error {
	if o.body == nil || r.Length() == 0 {
		return nil
	}
	m := o.body.find(r.Media())
	if m == nil || m.schema == nil || !m.readable(r.Media()) {
		return nil
	}
	if p.requests == report && (r.Length() < 0 || r.Length() > p.most || r.Fits(p.most) != nil) {
		return nil // it would be lost
	}
	r.LimitedBy("openapi.max_body")
	body, err := r.Keep(p.most)
	r.LimitedBy("")
	if err != nil {
		return err
	}
	if len(body) == 0 {
		if !o.required {
			return nil
		}
		return p.misfit(p.requests, "request", o, problem.New("HR4092", "the body is missing").At("body"))
	}
	if err := m.check(body, r.Media()); err != nil {
		return p.misfit(p.requests, "request", o, err)
	}
	return nil
}

// misfit counts what does not fit; it returns what the client is told, nil if the exchange goes on. Values stay out of the log.
func (p *policy) misfit(m mode, what string, o *operation, err error) error {
	name := ""
	if o != nil {
		name = o.name
	}
	if what == "request" {
		p.count.requests.Inc()
	} else {
		p.count.answers.Inc()
	}
	e := problem.From(err)
	if m == report || what == "answer" {
		p.seldom.Do(func() {
			p.log.Warn(what+" does not fit the OpenAPI document", "route", p.title, "operation", name, "code", e.Code, "where", e.Where, "rule", ruleOf(err))
		})
	}
	if m == report {
		return nil
	}
	if what == "answer" { // what is wrong is in the log; the client did nothing
		return problem.New("HR4094", "the answer of %s does not fit the document", name).At(e.Where)
	}
	return err
}

// head looks at the parameters and the media type.
func (o *operation) head(r *exchange.Request, values []pair) error {
	var query []pair
	for _, p := range o.parameters {
		var texts []string
		switch p.in {
		case "path":
			for _, v := range values {
				if v.name == p.name {
					texts = []string{v.value}
				}
			}
		case "query":
			if query == nil {
				query = []pair{}
				for name, value := range r.QueryArgs().All() {
					query = append(query, pair{string(name), string(value)})
				}
			}
			for _, v := range query {
				if v.name == p.name {
					texts = append(texts, v.value)
				}
			}
		case "header":
			for _, v := range r.Request.Header.PeekAll(p.name) {
				texts = append(texts, string(v))
			}
			if len(texts) > 1 {
				texts = []string{strings.Join(texts, ",")}
			}
		case "cookie":
			if v := r.Request.Header.Cookie(p.name); v != nil {
				texts = []string{string(v)}
			}
		}
		read := p.read(texts, query)
		if len(read) == 0 {
			if p.required {
				return problem.New("HR4091", "the %s parameter %s is missing", p.in, p.name).At(p.where()).Hinting("send it")
			}
			continue
		}
		if err := p.check(read); err != nil {
			return misfitting("HR4091", fmt.Sprintf("the %s parameter %s", p.in, p.name), p.where(), err)
		}
	}
	if o.body == nil {
		return nil
	}
	if r.Length() == 0 {
		if o.required {
			return problem.New("HR4092", "the body is missing").At("body")
		}
		return nil
	}
	if o.body.find(r.Media()) == nil {
		return problem.New("HR4093", "the body is %.80q", r.Media()).At("header.Content-Type").Hinting("send %s", o.body.names())
	}
	return nil
}
