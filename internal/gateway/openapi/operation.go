package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// operation is a method of a path, ready to hold requests and answers against.
type operation struct {
	name       string // METHOD /path, as in the document
	parameters []*parameter
	body       *content // nil takes any
	required   bool     // the body
	responses  map[string]*response
}

// response is what the document has for a status.
type response struct {
	headers []*parameter
	body    *content // nil is any
}

// content is the bodies that are possible, by media type.
type content struct{ media []media }

// media is a body of one media type.
type media struct {
	name   string // or type/*, or */*
	schema *jsonschema.Schema
	kinds  kinds
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

// operations compiles a path.
func (d *document) operations(path string, item node) (map[string]*operation, error) {
	list := map[string]*operation{}
	shared, err := d.parameters(item)
	if err != nil {
		return nil, err
	}
	for _, method := range methods {
		n, ok, err := d.child(item, method)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		o := &operation{name: strings.ToUpper(method) + " " + path, responses: map[string]*response{}}
		if o.parameters, err = d.parameters(n); err != nil {
			return nil, err
		}
		for _, p := range shared {
			if !slices.ContainsFunc(o.parameters, func(own *parameter) bool { return own.name == p.name && own.in == p.in }) {
				o.parameters = append(o.parameters, p)
			}
		}
		if err := o.checkPath(path); err != nil {
			return nil, err
		}
		if body, ok, err := d.child(n, "requestBody"); err != nil {
			return nil, err
		} else if ok {
			o.required, _ = body.value["required"].(bool)
			if o.body, err = d.content(body); err != nil {
				return nil, err
			}
		}
		if err := d.responses(o, n); err != nil {
			return nil, err
		}
		list[strings.ToUpper(method)] = o
	}
	return list, nil
}

// checkPath makes sure that the parameters of the path are those in its braces.
func (o *operation) checkPath(path string) error {
	for _, p := range o.parameters {
		if p.in == "path" && !strings.Contains(path, "{"+p.name+"}") {
			return fmt.Errorf("%s has the parameter %s, which is not in its path", o.name, p.name)
		}
	}
	return nil
}

func (d *document) responses(o *operation, n node) error {
	all, ok, err := d.child(n, "responses")
	if err != nil || !ok {
		return err
	}
	for status := range all.value {
		one, ok, err := d.child(all, status)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		r := &response{}
		if r.body, err = d.content(one); err != nil {
			return err
		}
		headers, _, err := d.child(one, "headers")
		if err != nil {
			return err
		}
		for name := range headers.value {
			h, ok, err := d.child(headers, name)
			if err != nil {
				return err
			}
			if !ok || strings.EqualFold(name, "Content-Type") {
				continue
			}
			p, err := d.parameter(h, name, "header")
			if err != nil {
				return err
			}
			r.headers = append(r.headers, p)
		}
		o.responses[strings.ToUpper(status)] = r
	}
	return nil
}

// content compiles the media types of a body; nil if none is named.
func (d *document) content(n node) (*content, error) {
	all, ok, err := d.child(n, "content")
	if err != nil || !ok || len(all.value) == 0 {
		return nil, err
	}
	c := &content{}
	for name := range all.value {
		one, ok, err := d.child(all, name)
		if err != nil {
			return nil, err
		}
		m := media{name: strings.ToLower(strings.TrimSpace(strings.SplitN(name, ";", 2)[0]))}
		if ok {
			if m.schema, err = d.schema(one, "schema"); err != nil {
				return nil, err
			}
			m.kinds = kindsOf(m.schema)
		}
		c.media = append(c.media, m)
	}
	// The exact ones first, then type/*, then */*.
	slices.SortFunc(c.media, func(a, b media) int {
		if stars := strings.Count(a.name, "*") - strings.Count(b.name, "*"); stars != 0 {
			return stars
		}
		return strings.Compare(a.name, b.name)
	})
	return c, nil
}

// find is the media type that a body has; nil if the document has none that fits.
func (c *content) find(name string) *media {
	for i := range c.media {
		m := &c.media[i]
		before, _, star := strings.Cut(m.name, "*")
		if m.name == name || m.name == "*/*" || star && strings.HasPrefix(name, before) {
			return m
		}
	}
	return nil
}

// names of the media types, for people.
func (c *content) names() string {
	var list []string
	for _, m := range c.media {
		list = append(list, m.name)
	}
	return strings.Join(list, ", ")
}

// isJSON tells whether a media type is JSON.
func isJSON(name string) bool { return name == "application/json" || strings.HasSuffix(name, "+json") }
