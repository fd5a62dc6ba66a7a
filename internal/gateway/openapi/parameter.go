package openapi

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// depth of JSON that requests may have.
const depth = 100

// parameter is one of the path, the query, the headers or the cookies.
type parameter struct {
	name, in string
	required bool
	style    string
	explode  bool
	json     bool // it is JSON by its content
	schema   *jsonschema.Schema
	kinds    kinds
}

// where names the parameter in errors.
func (p *parameter) where() string { return p.in + "." + p.name }

func (d *document) parameters(n node) ([]*parameter, error) {
	list, _ := n.value["parameters"].([]any)
	var out []*parameter
	for i, one := range list {
		value, ok := one.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("a parameter at %s is no object", n.pointer)
		}
		at, err := d.follow(node{value, fmt.Sprintf("%s/parameters/%d", n.pointer, i)})
		if err != nil {
			return nil, err
		}
		name, _ := at.value["name"].(string)
		in, _ := at.value["in"].(string)
		if in == "header" && (strings.EqualFold(name, "Accept") || strings.EqualFold(name, "Content-Type") || strings.EqualFold(name, "Authorization")) {
			continue // OpenAPI says so
		}
		if name == "" || in != "path" && in != "query" && in != "header" && in != "cookie" {
			return nil, fmt.Errorf("the parameter %q at %s is in %q", name, at.pointer, in)
		}
		p, err := d.parameter(at, name, in)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (d *document) parameter(n node, name, in string) (*parameter, error) {
	p := &parameter{name: name, in: in}
	p.required, _ = n.value["required"].(bool)
	p.required = p.required || in == "path"
	if p.style, _ = n.value["style"].(string); p.style == "" {
		p.style = map[string]string{"path": "simple", "header": "simple", "query": "form", "cookie": "form"}[in]
	}
	explode, told := n.value["explode"].(bool)
	p.explode = explode || !told && p.style == "form"
	var err error
	if contents, ok, failed := d.child(n, "content"); failed != nil {
		return nil, failed
	} else if ok {
		for name := range contents.value {
			one, ok, err := d.child(contents, name)
			if err != nil || !ok {
				return nil, err
			}
			p.json = isJSON(strings.ToLower(name))
			if p.schema, err = d.schema(one, "schema"); err != nil {
				return nil, err
			}
		}
	} else if p.schema, err = d.schema(n, "schema"); err != nil {
		return nil, err
	}
	p.kinds = kindsOf(p.schema)
	return p, nil
}

// pair is a name and a value of a query, a form or cookies.
type pair struct{ name, value string }

// read gives the values that the texts may mean, the likeliest first; none if the parameter is absent. all are the pairs of a query or
// form, for objects whose members are parameters of their own.
func (p *parameter) read(texts []string, all []pair) []any {
	if p.style == "deepObject" {
		return p.deep(all)
	}
	if p.style == "form" && p.explode && p.kinds.object && !p.json && len(texts) == 0 {
		object := map[string]any{}
		for _, one := range all {
			if _, known := p.kinds.members[one.name]; known {
				object[one.name] = p.kinds.member(one.name).value(one.value)
			}
		}
		if len(object) == 0 {
			return nil
		}
		return []any{object}
	}
	if len(texts) == 0 {
		return nil
	}
	text := texts[len(texts)-1]
	if p.json {
		if strictjson.Check([]byte(text), depth) != nil {
			return []any{text}
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			v = text
		}
		return []any{v}
	}
	separator := ","
	switch p.style {
	case "label":
		if text = strings.TrimPrefix(text, "."); p.explode {
			separator = "."
		}
	case "matrix":
		if text = strings.TrimPrefix(text, ";"); p.explode {
			separator = ";"
		} else {
			text = strings.TrimPrefix(text, p.name+"=")
		}
	case "spaceDelimited":
		separator = " "
	case "pipeDelimited":
		separator = "|"
	}
	switch {
	case p.kinds.array:
		list := texts
		if !(p.style == "form" && p.explode) {
			list = split(text, separator)
			if p.style == "matrix" && p.explode {
				for i := range list {
					list[i] = strings.TrimPrefix(list[i], p.name+"=")
				}
			}
		}
		out := []any{p.kinds.list(list)}
		if p.kinds.text || p.kinds.number || p.kinds.boolean {
			out = append(out, p.kinds.readings(text)...)
		}
		return out
	case p.kinds.object:
		return []any{p.object(split(text, separator))}
	}
	if p.style == "matrix" {
		text = strings.TrimPrefix(text, p.name+"=")
	}
	return p.kinds.readings(text)
}

// object reads a=1,b=2, or a,1,b,2 without explode.
func (p *parameter) object(list []string) map[string]any {
	object := map[string]any{}
	for i := 0; i < len(list); i++ {
		name, value := list[i], ""
		if p.explode {
			name, value, _ = strings.Cut(name, "=")
		} else if i++; i < len(list) {
			value = list[i]
		}
		object[name] = p.kinds.member(name).value(value)
	}
	return object
}

// deep reads name[member]=value.
func (p *parameter) deep(all []pair) []any {
	object := map[string]any{}
	for _, one := range all {
		rest, ok := strings.CutPrefix(one.name, p.name+"[")
		member, tail, closed := strings.Cut(rest, "]")
		if !ok || !closed || tail != "" && tail != "[]" {
			continue
		}
		k := p.kinds.member(member)
		switch before, there := object[member].([]any); {
		case k.array && there:
			object[member] = append(before, k.list([]string{one.value})...)
		case k.array:
			object[member] = k.list([]string{one.value})
		default:
			object[member] = k.value(one.value)
		}
	}
	if len(object) == 0 {
		return nil
	}
	return []any{object}
}

func split(text, separator string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, separator)
}

// check is nil if one of the values fits the schema, or else why the likeliest does not.
func (p *parameter) check(values []any) error {
	if p.schema == nil {
		return nil
	}
	var first error
	for _, v := range values {
		err := p.schema.Validate(v)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// decodeJSON reads a document strictly.
func decodeJSON(body []byte) (any, error) {
	if err := strictjson.Check(body, depth); err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(body))
}
