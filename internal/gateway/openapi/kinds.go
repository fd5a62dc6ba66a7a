package openapi

import (
	"encoding/json"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// kinds are the JSON types that a schema allows, as far as they are needed to read a value from text.
type kinds struct {
	text, number, boolean, null, array, object bool
	items                                      *kinds
	members                                    map[string]kinds
}

func kindsOf(s *jsonschema.Schema) kinds {
	var k kinds
	k.learn(s, 0)
	return k
}

// learn adds what a schema allows.
func (k *kinds) learn(s *jsonschema.Schema, depth int) {
	if s == nil || depth > 16 { // a type that contains itself
		return
	}
	if s.Types != nil {
		for _, name := range s.Types.ToStrings() {
			k.add(name)
		}
	}
	values := []any{}
	if s.Const != nil {
		values = append(values, *s.Const)
	}
	if s.Enum != nil {
		values = append(values, s.Enum.Values...)
	}
	for _, v := range values {
		switch v.(type) {
		case string:
			k.text = true
		case bool:
			k.boolean = true
		case nil:
			k.null = true
		case json.Number, float64, int:
			k.number = true
		}
	}
	if len(s.Properties) > 0 {
		if k.members == nil {
			k.members = map[string]kinds{}
		}
		for name, property := range s.Properties {
			member := k.members[name]
			member.learn(property, depth+1)
			k.members[name] = member
		}
	}
	if items := s.Items2020; items != nil {
		if k.items == nil {
			k.items = &kinds{}
		}
		k.items.learn(items, depth+1)
	}
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, {s.Ref}} {
		for _, part := range list {
			k.learn(part, depth+1)
		}
	}
}

func (k *kinds) add(name string) {
	switch name {
	case "string":
		k.text = true
	case "integer", "number":
		k.number = true
	case "boolean":
		k.boolean = true
	case "null":
		k.null = true
	case "array":
		k.array = true
	case "object":
		k.object = true
	}
}

// value reads a text as the type that it fits, and as text if there is none.
func (k *kinds) value(text string) any {
	switch {
	case k.boolean && text == "true":
		return true
	case k.boolean && text == "false":
		return false
	case k.null && (text == "null" || text == "" && !k.text):
		return nil
	case k.number && isNumber(text):
		return json.Number(text)
	}
	return text
}

func isNumber(text string) bool {
	return text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && text[len(text)-1] >= '0' && text[len(text)-1] <= '9' && strictjson.Check([]byte(text), 1) == nil
}

// list reads several texts.
func (k *kinds) list(texts []string) []any {
	items := kinds{}
	if k.items != nil {
		items = *k.items
	}
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = items.value(text)
	}
	return out
}

// member is what a member of an object may be.
func (k *kinds) member(name string) *kinds {
	m := k.members[name]
	return &m
}

// readings are what a text may mean, the likelier first: a number where numbers are allowed, and the text where texts are.
func (k *kinds) readings(text string) []any {
	first := k.value(text)
	if _, ok := first.(string); !ok && k.text {
		return []any{first, text}
	}
	return []any{first}
}
