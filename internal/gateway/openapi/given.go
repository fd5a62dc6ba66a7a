package openapi

import (
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// given is a document that is taken over, with names of its own for its components.
type given struct {
	*document
	prefix string
	stack  []string // references that are being put in place of themselves
}

// given describes a route by the document that it is held against: those of its paths that the route leads to.
func (w *writer) given(r *exchange.Published, c *config.OpenAPI) error {
	d, err := open(c.Document)
	if err != nil {
		return err
	}
	defer d.close()
	g := &given{document: d, prefix: slug(r.Title())}
	base := d.base()
	if c.Base != "" {
		base = strings.TrimSuffix(c.Base, "/")
	}
	top := node{d.root, d.url + "#"}
	all, _, err := d.child(top, "paths")
	if err != nil {
		return d.bad(err)
	}
	taken := false
	for _, text := range sortedKeys(all.value) {
		path := base + text
		if !strings.HasPrefix(text, "/") || !leads(r.Match, path) {
			continue
		}
		item, ok, err := d.child(all, text)
		if err != nil {
			return d.bad(err)
		}
		if !ok {
			continue
		}
		for _, method := range methods[:8] {
			verb := strings.ToUpper(method)
			operation, ok := item.value[method].(map[string]any)
			if !ok || len(r.Methods) > 0 && !slices.Contains(r.Methods, verb) {
				continue
			}
			taken = true
			w.operation(r, path, verb, func() map[string]any { return g.operation(w, item, operation, verb+" "+text) })
		}
	}
	if !taken {
		return nil
	}
	components, _, err := d.child(top, "components")
	if err != nil {
		return d.bad(err)
	}
	for _, kind := range sortedKeys(components.value) {
		list, _ := components.value[kind].(map[string]any)
		for name, value := range list {
			w.component(kind, g.prefix+"."+name, g.copy(value, d.url))
		}
	}
	return nil
}

// operation takes one over.
func (g *given) operation(w *writer, item node, operation map[string]any, name string) map[string]any {
	base, _, _ := strings.Cut(item.pointer, "#")
	o := g.copy(operation, base).(map[string]any)
	shared, _ := item.value["parameters"].([]any)
	if len(shared) > 0 {
		own, _ := o["parameters"].([]any)
		for _, p := range g.copy(shared, base).([]any) {
			if !slices.ContainsFunc(own, func(other any) bool { return samePlace(p, other) }) {
				own = append(own, p)
			}
		}
		o["parameters"] = own
	}
	if o["summary"] == nil {
		o["summary"] = name
	}
	if own, _ := o["operationId"].(string); own != "" {
		name = own
	}
	o["operationId"] = w.id(g.prefix + "_" + name)
	delete(o, "servers")
	delete(o, "callbacks")
	security, told := o["security"].([]any)
	if !told {
		security, _ = g.copy(g.root["security"], g.url).([]any)
	}
	for i, one := range security {
		renamed := map[string]any{}
		ways, _ := one.(map[string]any)
		for name, scopes := range ways {
			renamed[g.prefix+"."+name] = scopes
		}
		security[i] = renamed
	}
	if delete(o, "security"); security != nil {
		o["security"] = security
	}
	return o
}

// samePlace tells whether two parameters are the same one.
func samePlace(a, b any) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return x["$ref"] != nil && x["$ref"] == y["$ref"] || x["name"] != nil && x["name"] == y["name"] && x["in"] == y["in"]
}

// copy takes a value over. References to components lead to where these are now; what else is referred to is put in place, and what
// contains itself that way is anything at the second time.
func (g *given) copy(v any, base string) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = g.copy(v[i], base)
		}
		return list
	case map[string]any:
		ref, ok := v["$ref"].(string)
		if !ok {
			object := make(map[string]any, len(v))
			for key, value := range v {
				if mapping, ok := value.(map[string]any); ok && key == "discriminator" {
					value = g.discriminator(mapping)
				}
				object[key] = g.copy(value, base)
			}
			return object
		}
		object := make(map[string]any, len(v))
		for key, value := range v {
			if key != "$ref" {
				object[key] = g.copy(value, base)
			}
		}
		if to := g.moved(ref, base); to != "" {
			object["$ref"] = to
			return object
		}
		at, err := g.hop(node{map[string]any{"$ref": ref}, base})
		if err != nil || slices.Contains(g.stack, at.pointer) {
			return object
		}
		g.stack = append(g.stack, at.pointer)
		from, _, _ := strings.Cut(at.pointer, "#")
		inner, _ := g.copy(at.value, from).(map[string]any)
		g.stack = g.stack[:len(g.stack)-1]
		delete(object, "summary")
		if delete(object, "description"); len(object) == 0 {
			return inner
		}
		object["allOf"] = append([]any{inner}, list(object["allOf"])...)
		return object
	}
	return v
}

func list(v any) []any { l, _ := v.([]any); return l }

// moved is where a reference to a component of the document leads now; "" if it is none.
func (g *given) moved(ref, base string) string {
	from, err := url.Parse(base)
	if err != nil {
		return ""
	}
	to, err := from.Parse(ref)
	if err != nil {
		return ""
	}
	tokens := strings.Split(to.EscapedFragment(), "/")
	if to.Fragment = ""; to.String() != g.url || len(tokens) < 4 || tokens[1] != "components" {
		return ""
	}
	tokens[3] = g.prefix + "." + tokens[3]
	return "#" + strings.Join(tokens, "/")
}

// discriminator renames the schemas of a mapping.
func (g *given) discriminator(d map[string]any) map[string]any {
	mapping, ok := d["mapping"].(map[string]any)
	if !ok {
		return d
	}
	renamed := map[string]any{}
	for value, to := range mapping {
		text, _ := to.(string)
		if !strings.ContainsAny(text, "#/") {
			text = "#/components/schemas/" + text
		}
		if renamed[value] = text; g.moved(text, g.url) != "" {
			renamed[value] = g.moved(text, g.url)
		}
	}
	out := map[string]any{"mapping": renamed}
	for key, value := range d {
		if key != "mapping" {
			out[key] = value
		}
	}
	return out
}

// leads tells whether a route leads to a path of a document, whatever their parameters are called.
func leads(match, path string) bool {
	want, have := strings.Split(match, "/"), strings.Split(path, "/")
	if want[len(want)-1] == "*" {
		want = want[:len(want)-1]
		if len(have) < len(want) {
			return false
		}
		have = have[:len(want)]
	}
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != have[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}
