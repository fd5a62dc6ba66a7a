package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// Info is what a document says of itself.
type Info struct {
	Title       string // empty is Headrace
	Version     string // empty is 1
	Description string
}

// writer makes a document.
type writer struct {
	paths      map[string]any
	components map[string]map[string]any
	tags       []any
	ids        map[string]bool // of operations
	jobs       bool
}

// Document describes routes as OpenAPI 3.1, in JSON. Of routes with the same method and path the first counts. Documents that routes are held
// against are part of it, below the match of the route; HR4095 if one cannot be read.
func Document(info Info, routes []exchange.Published) ([]byte, error) {
	w := &writer{paths: map[string]any{}, components: map[string]map[string]any{}, ids: map[string]bool{}}
	w.component("schemas", "problem", problemSchema)
	w.component("responses", "problem", map[string]any{
		"description": "An error. 429 and 503 have the header Retry-After.",
		"content":     map[string]any{"application/problem+json": map[string]any{"schema": reference("schemas", "problem")}},
	})
	tagged := map[string]bool{}
	for i := range routes {
		r := &routes[i]
		before := len(w.ids)
		if err := w.route(r); err != nil {
			return nil, err
		}
		if title := r.Title(); !tagged[title] && len(w.ids) > before {
			tagged[title] = true
			w.tags = append(w.tags, map[string]any{"name": title})
		}
	}
	if w.jobs {
		w.follow()
	}
	about := map[string]any{"title": either(info.Title, "Headrace"), "version": either(info.Version, "1")}
	if info.Description != "" {
		about["description"] = info.Description
	}
	document := map[string]any{"openapi": "3.1.1", "info": about, "servers": []any{map[string]any{"url": "/"}}, "paths": w.paths, "components": w.components}
	if len(w.tags) > 0 {
		document["tags"] = w.tags
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(document)
	return b.Bytes(), err
}

func either(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func reference(kind, name string) map[string]any {
	return map[string]any{"$ref": "#/components/" + kind + "/" + name}
}

func (w *writer) component(kind, name string, value any) {
	if w.components[kind] == nil {
		w.components[kind] = map[string]any{}
	}
	w.components[kind][name] = value
}

// slug is a name that components may have.
func slug(text string) string {
	text = strings.Trim(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			return c
		}
		return '_'
	}, text), "_")
	return either(text, "route")
}

// id is a name for an operation that no other has.
func (w *writer) id(text string) string {
	text = slug(text)
	name := text
	for n := 2; w.ids[name]; n++ {
		name = fmt.Sprint(text, "_", n)
	}
	w.ids[name] = true
	return name
}

// operation puts an operation in its place, unless another is there.
func (w *writer) operation(r *exchange.Published, path, method string, make func() map[string]any) {
	item, _ := w.paths[path].(map[string]any)
	key := strings.ToLower(method)
	if !slices.Contains(methods[:8], key) || item[key] != nil {
		return
	}
	if item == nil {
		item = map[string]any{}
		w.paths[path] = item
	}
	o := make()
	o["tags"] = []any{r.Title()}
	if security := w.security(r.Policy); security != nil {
		o["security"] = security
	} else if o["security"] == nil && r.Proxy == "" && len(r.Split) == 0 { // what a service asks for beyond this is not known
		o["security"] = []any{}
	}
	responses, _ := o["responses"].(map[string]any)
	if responses == nil {
		responses = map[string]any{}
		o["responses"] = responses
	}
	if responses["default"] == nil {
		responses["default"] = reference("responses", "problem")
	}
	if len(r.Hosts) > 0 && !strings.Contains(strings.Join(r.Hosts, ""), "*") {
		var servers []any
		for _, host := range r.Hosts {
			servers = append(servers, map[string]any{"url": "//" + host})
		}
		o["servers"] = servers
	}
	item[key] = o
}

// template is a match as OpenAPI writes it, and its parameters.
func template(match string) (path string, names []string) {
	for segment := range strings.SplitSeq(match, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	path = match
	if before, ok := strings.CutSuffix(match, "/*"); ok {
		rest := "path"
		for slices.Contains(names, rest) {
			rest += "_"
		}
		path, names = before+"/{"+rest+"}", append(names, rest)
	}
	return path, names
}

func (w *writer) route(r *exchange.Published) error {
	path, names := template(r.Match)
	verbs := r.Verbs()
	if verbs[0] == config.Any {
		verbs = []string{"GET", "PUT", "POST", "DELETE", "PATCH"}
	}
	if r.Function != nil {
		return w.function(r, path, names, verbs)
	}
	if p := r.Policy; p != nil && p.OpenAPI != nil && (r.Proxy != "" || len(r.Split) > 0) {
		return w.given(r, p.OpenAPI)
	}
	for _, verb := range verbs {
		w.operation(r, path, verb, func() map[string]any {
			o := map[string]any{"operationId": w.id(strings.ToLower(verb) + "_" + either(r.Name, r.Match)), "summary": r.Title(), "responses": w.answers(r)}
			if len(names) > 0 {
				o["parameters"] = texts(names)
			}
			return o
		})
	}
	return nil
}

// texts are parameters of a path that nothing is known of.
func texts(names []string) (list []any) {
	for _, name := range names {
		list = append(list, map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	return list
}

// answers are those of actions without functions.
func (w *writer) answers(r *exchange.Published) map[string]any {
	text := map[string]any{"type": "string"}
	switch {
	case r.Respond != nil:
		one := map[string]any{"description": "A fixed answer."}
		if r.Respond.Body != "" {
			media, _, _ := strings.Cut(r.Respond.Type, ";")
			content := map[string]any{"schema": map[string]any{}}
			if isJSON(media) {
				if v, err := jsonschema.UnmarshalJSON(strings.NewReader(r.Respond.Body)); err == nil {
					content["example"] = v
				}
			} else {
				content = map[string]any{"schema": text, "example": r.Respond.Body}
			}
			one["content"] = map[string]any{media: content}
		}
		return map[string]any{fmt.Sprint(r.Respond.Status): one}
	case r.Redirect != "":
		return map[string]any{"3XX": map[string]any{"description": "It is somewhere else.", "headers": map[string]any{"Location": map[string]any{"schema": text}}}}
	case r.Merge != nil:
		return map[string]any{"200": map[string]any{
			"description": "The parts as one object.",
			"headers":     map[string]any{"X-Headrace-Complete": map[string]any{"description": "Whether all parts are there.", "schema": map[string]any{"type": "string", "enum": []any{"true", "false"}}}},
			"content":     map[string]any{"application/json": map[string]any{"schema": w.merged(r.Merge)}},
		}}
	case r.Static != "":
		return map[string]any{"200": map[string]any{"description": "The file.", "content": map[string]any{"*/*": map[string]any{}}}}
	}
	return map[string]any{"default": map[string]any{"description": "What the service answers."}}
}

// merged is what is known of a merged answer: the names of its groups.
func (w *writer) merged(m *config.Merge) map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, p := range m.Parts {
		if p.Group == "" || properties[p.Group] != nil {
			continue
		}
		properties[p.Group] = map[string]any{}
		if !p.Optional {
			required = append(required, p.Group)
		}
	}
	if m.Errors != "" {
		properties[m.Errors] = map[string]any{"type": "object", "description": "Parts that failed.", "additionalProperties": map[string]any{
			"type": "object", "properties": map[string]any{"code": map[string]any{"type": "string"}, "detail": map[string]any{"type": "string"}},
		}}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// security are the ways to show who asks, each enough by itself; nil if nobody needs to.
func (w *writer) security(p *config.Policy) []any {
	if p == nil || p.Auth == nil {
		return nil
	}
	a := p.Auth
	var list []any
	way := func(name string, scheme map[string]any, scopes []string) {
		w.component("securitySchemes", name, scheme)
		roles := []any{}
		for _, s := range scopes {
			roles = append(roles, s)
		}
		list = append(list, map[string]any{name: roles})
	}
	key := func(name, in, of string, scopes []string) {
		way(slug(name+"-"+in+"-"+of), map[string]any{"type": "apiKey", "in": in, "name": of}, scopes)
	}
	if a.JWT != nil {
		if h := either(a.JWT.Header, "Authorization"); strings.EqualFold(h, "Authorization") {
			way("jwt", map[string]any{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}, a.JWT.Scopes)
		} else {
			key("jwt", "header", h, a.JWT.Scopes)
		}
		if a.JWT.Cookie != "" {
			key("jwt", "cookie", a.JWT.Cookie, a.JWT.Scopes)
		}
		if a.JWT.Query != "" {
			key("jwt", "query", a.JWT.Query, a.JWT.Scopes)
		}
	}
	if a.Key != nil {
		key("key", "header", either(a.Key.Header, "X-API-Key"), a.Key.Scopes)
		if a.Key.Query != "" {
			key("key", "query", a.Key.Query, a.Key.Scopes)
		}
	}
	if a.Basic != nil {
		way("basic", map[string]any{"type": "http", "scheme": "basic"}, nil)
	}
	if a.OIDC != nil {
		way(slug("oidc-"+strings.TrimPrefix(a.OIDC.Issuer, "https://")),
			map[string]any{"type": "openIdConnect", "openIdConnectUrl": strings.TrimSuffix(a.OIDC.Issuer, "/") + "/.well-known/openid-configuration"}, nil)
	}
	if a.MTLS != nil {
		way("mtls", map[string]any{"type": "mutualTLS"}, nil)
	}
	if a.Optional && list != nil {
		list = append(list, map[string]any{})
	}
	return list
}

var problemSchema = map[string]any{
	"type": "object", "description": "RFC 9457. The code is stable.", "required": []any{"type", "title", "status", "code"},
	"properties": map[string]any{
		"type": map[string]any{"type": "string", "format": "uri"}, "title": map[string]any{"type": "string"}, "status": map[string]any{"type": "integer"},
		"code": map[string]any{"type": "string", "pattern": "^HR[0-9]{4}$"}, "detail": map[string]any{"type": "string"},
		"where": map[string]any{"type": "string", "description": "JSON pointer or name of what is wrong."}, "hint": map[string]any{"type": "string", "description": "What to do."},
	},
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
