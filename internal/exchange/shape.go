package exchange

import (
	"encoding/json"
	"strings"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// Shape knows the types of a function's parameters as far as it takes to read them from text: from a form, a query or a path.
type Shape map[string]kinds

// kinds are the JSON types that a value may have.
type kinds struct {
	text, number, boolean, object, array, null bool
	items                                      *kinds
}

// schema is the part of a JSON Schema that tells types.
type schema struct {
	Type       json.RawMessage   `json:"type"`
	Ref        string            `json:"$ref"`
	AnyOf      []schema          `json:"anyOf"`
	OneOf      []schema          `json:"oneOf"`
	AllOf      []schema          `json:"allOf"`
	Enum       []json.RawMessage `json:"enum"`
	Const      json.RawMessage   `json:"const"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Defs       map[string]schema `json:"$defs"`
}

// NewShape reads the schema of a function's arguments.
func NewShape(args []byte) (Shape, error) {
	var top schema
	if err := json.Unmarshal(args, &top); err != nil {
		return nil, err
	}
	shape := Shape{}
	for name, property := range top.Properties {
		shape[name] = property.kinds(top.Defs, 0)
	}
	return shape, nil
}

func (s *schema) kinds(defs map[string]schema, depth int) (k kinds) {
	if depth > 16 { // a type that contains itself
		return k
	}
	var types []string
	var one string
	if json.Unmarshal(s.Type, &one) == nil && one != "" {
		types = []string{one}
	} else if len(s.Type) > 0 {
		_ = json.Unmarshal(s.Type, &types)
	}
	for _, value := range append(s.Enum, s.Const) {
		if len(value) > 0 {
			types = append(types, typeOf(value))
		}
	}
	for _, t := range types {
		k.add(t)
	}
	if s.Items != nil {
		items := s.Items.kinds(defs, depth+1)
		k.items = &items
	}
	parts := append(append(append([]schema{}, s.AnyOf...), s.OneOf...), s.AllOf...)
	if named, ok := defs[strings.TrimPrefix(s.Ref, "#/$defs/")]; ok {
		parts = append(parts, named)
	}
	for i := range parts {
		k.join(parts[i].kinds(defs, depth+1))
	}
	return k
}

func typeOf(value []byte) string {
	switch value[0] {
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	case '{':
		return "object"
	case '[':
		return "array"
	}
	return "number"
}

func (k *kinds) add(name string) {
	switch name {
	case "string":
		k.text = true
	case "integer", "number":
		k.number = true
	case "boolean":
		k.boolean = true
	case "object":
		k.object = true
	case "array":
		k.array = true
	case "null":
		k.null = true
	}
}

func (k *kinds) join(o kinds) {
	k.text, k.number, k.boolean = k.text || o.text, k.number || o.number, k.boolean || o.boolean
	k.object, k.array, k.null = k.object || o.object, k.array || o.array, k.null || o.null
	if k.items == nil {
		k.items = o.items
	}
}

// Append writes the values that text gave for a parameter as one JSON value. Text that fits no type of the parameter is written as a
// string, so that the validation against the signature names what is wrong with it.
func (s Shape) Append(b []byte, name string, texts []string, depth int) []byte {
	k := s[name]
	if k.array && !(len(texts) == 1 && k.is(texts[0], depth) == '[') {
		items := kinds{text: true}
		if k.items != nil {
			items = *k.items
		}
		b = append(b, '[')
		for i, text := range texts {
			if i > 0 {
				b = append(b, ',')
			}
			b = items.append(b, text, depth)
		}
		return append(b, ']')
	}
	return k.append(b, texts[len(texts)-1], depth)
}

// is returns the first byte of text if it is a JSON value of a type that fits, and 0 if not.
func (k *kinds) is(text string, depth int) byte {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || strictjson.Check([]byte(trimmed), depth) != nil {
		return 0
	}
	fits := false
	switch typeOf([]byte(trimmed)) {
	case "number":
		fits = k.number
	case "boolean":
		fits = k.boolean
	case "null":
		fits = k.null && !k.text
	case "object":
		fits = k.object
	case "array":
		fits = k.array
	}
	if !fits {
		return 0
	}
	return trimmed[0]
}

func (k *kinds) append(b []byte, text string, depth int) []byte {
	switch {
	case k.is(text, depth) != 0:
		return append(b, strings.TrimSpace(text)...)
	case k.text:
		return strictjson.AppendText(b, text)
	case k.boolean && (text == "on" || text == "1"):
		return append(b, "true"...)
	case k.boolean && (text == "off" || text == "0"):
		return append(b, "false"...)
	case k.null && text == "":
		return append(b, "null"...)
	}
	return strictjson.AppendText(b, text)
}
