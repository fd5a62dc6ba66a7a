package openapi

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

const form = "application/x-www-form-urlencoded"

// readable tells whether bodies of this type are read: JSON, forms and texts. Files are not.
func (m *media) readable(name string) bool {
	return isJSON(name) || name == form || strings.HasPrefix(name, "text/") && m.name != "*/*"
}

// check is HR4092 if a body does not fit.
func (m *media) check(body []byte, name string) error {
	var v any
	switch {
	case isJSON(name):
		var err error
		if v, err = decodeJSON(body); err != nil {
			return problem.New("HR4092", "the body is not JSON: %s", problem.From(err).What).At("body")
		}
	case name == form:
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return problem.New("HR4092", "the body is no form").At("body")
		}
		object := map[string]any{}
		for name, texts := range values {
			k := m.kinds.member(name)
			if k.array {
				object[name] = k.list(texts)
			} else {
				object[name] = k.value(texts[len(texts)-1])
			}
		}
		v = object
	default:
		v = string(body)
	}
	if err := m.schema.Validate(v); err != nil {
		return misfitting("HR4092", "the body", "body", err)
	}
	return nil
}

// answer looks at an answer. Its body is looked at if it is JSON of at most most bytes, in memory and not encoded.
func (o *operation) answer(r *exchange.Request, most int64) error {
	h := &r.Response.Header
	status := r.Response.StatusCode()
	if status == 304 {
		return nil
	}
	text := strconv.Itoa(status)
	one := o.responses[text]
	if one == nil {
		if one = o.responses[text[:1]+"XX"]; one == nil {
			one = o.responses["DEFAULT"]
		}
	}
	if one == nil {
		return problem.New("HR4094", "the status is %d", status).At("status")
	}
	for _, p := range one.headers {
		var texts []string
		if values := h.PeekAll(p.name); len(values) > 0 {
			texts = []string{string(bytes.Join(values, []byte(",")))}
		}
		read := p.read(texts, nil)
		if len(read) == 0 {
			if p.required {
				return problem.New("HR4094", "the header %s is missing", p.name).At(p.where())
			}
			continue
		}
		if err := p.check(read); err != nil {
			return misfitting("HR4094", "the header "+p.name, p.where(), err)
		}
	}
	body := r.Response.Body
	if one.body == nil || r.IsHead() || r.AnswerBody() == nil && !r.Response.IsBodyStream() && len(body()) == 0 {
		return nil
	}
	name, _, _ := strings.Cut(string(h.ContentType()), ";")
	name = strings.ToLower(strings.TrimSpace(name))
	m := one.body.find(name)
	switch {
	case m == nil:
		return problem.New("HR4094", "the body is %.80q", name).At("header.Content-Type")
	case m.schema == nil, !isJSON(name), r.Response.IsBodyStream(), len(h.ContentEncoding()) > 0, int64(len(body())) > most:
		return nil
	}
	v, err := decodeJSON(body())
	if err != nil {
		return problem.New("HR4094", "the body is not JSON: %s", problem.From(err).What).At("body")
	}
	if err := m.schema.Validate(v); err != nil {
		return misfitting("HR4094", "the body", "body", err)
	}
	return nil
}

var english = message.NewPrinter(language.English)

// misfit is a problem with the rule that was broken.
type misfit struct {
	problem *problem.Error
	rule    string
}

// Error implements error.
func (m *misfit) Error() string { return m.problem.Error() }

// Unwrap gives the problem to those who answer with it.
func (m *misfit) Unwrap() error { return m.problem }

// misfitting makes one sentence about one value of an error of a schema: of the causes the one that is deepest in the value.
func misfitting(code, what, where string, err error) error {
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return problem.New(code, "%s: %w", what, err).At(where)
	}
	leaf := deepest(invalid)
	pointer := ""
	for _, token := range leaf.InstanceLocation {
		pointer += "/" + escape(token)
	}
	if pointer != "" {
		if what = what + " at " + pointer; where == "body" {
			where = pointer
		} else {
			where += pointer
		}
	}
	return &misfit{problem.New(code, "%s: %.300s", what, leaf.ErrorKind.LocalizedString(english)).At(where), strings.Join(leaf.ErrorKind.KeywordPath(), "/")}
}

func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	best := e
	for i, cause := range e.Causes {
		if leaf := deepest(cause); i == 0 || len(leaf.InstanceLocation) > len(best.InstanceLocation) {
			best = leaf
		}
	}
	return best
}

// ruleOf is the keyword that was broken, "" if it was none.
func ruleOf(err error) string {
	if m, ok := err.(*misfit); ok {
		return m.rule
	}
	return ""
}
