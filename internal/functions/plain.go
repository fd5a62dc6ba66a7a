package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// plain is a signature of simple types only, which is what most functions have. It knows arguments that surely fit in a tenth of the time
// that the schema takes; whatever it does not know is left to the schema.
type plain struct {
	arguments map[string]argument
	required  int
}

type argument struct {
	*simple
	required bool
}

// simple is a type whose values show by their first byte, or an array of it.
type simple struct {
	first string  // bytes that a value begins with
	whole bool    // a number has no fraction and no exponent
	items *simple // of an array
}

var simples = map[string]simple{
	"integer": {first: "-0123456789", whole: true}, "number": {first: "-0123456789"}, "string": {first: `"`}, "boolean": {first: "tf"}, "null": {first: "n"},
}

// newPlain compiles the schema of arguments; nil if it says more than simple types do.
func newPlain(schema []byte) *plain {
	var doc struct {
		Type       string                     `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
		Required   []string                   `json:"required"`
		More       json.RawMessage            `json:"additionalProperties"` // members that nothing is said of are left to the schema
	}
	strict := json.NewDecoder(bytes.NewReader(schema))
	strict.DisallowUnknownFields()
	if strict.Decode(&doc) != nil || doc.Type != "object" {
		return nil
	}
	p := &plain{arguments: make(map[string]argument, len(doc.Properties)), required: len(doc.Required)}
	for name, property := range doc.Properties {
		kind := newSimple(property)
		if kind == nil {
			return nil
		}
		p.arguments[name] = argument{kind, slices.Contains(doc.Required, name)}
	}
	return p
}

func newSimple(schema []byte) *simple {
	var doc struct {
		Type        string          `json:"type"`
		Items       json.RawMessage `json:"items"`
		Title       json.RawMessage `json:"title"`
		Description json.RawMessage `json:"description"`
		Default     json.RawMessage `json:"default"`
	}
	strict := json.NewDecoder(bytes.NewReader(schema))
	strict.DisallowUnknownFields()
	if strict.Decode(&doc) != nil {
		return nil
	}
	if doc.Type == "array" && doc.Items != nil {
		if items := newSimple(doc.Items); items != nil {
			return &simple{first: "[", items: items}
		}
		return nil
	}
	if kind, ok := simples[doc.Type]; ok && doc.Items == nil {
		return &kind
	}
	return nil
}

// plainDepth is more than arrays of simple types have.
const plainDepth = 16

// errUnsure is the way out where only the schema can tell.
var errUnsure = errors.New("not plain")

// fits tells of arguments that surely fit. If it does not they may still.
func (p *plain) fits(args []byte) bool {
	scan := strictjson.New(args, plainDepth)
	required := 0
	err := scan.Object(func(key []byte) error {
		a, ok := p.arguments[string(key)]
		if !ok {
			return errUnsure
		}
		if a.required {
			required++
		}
		return a.read(scan)
	})
	return err == nil && required == p.required && scan.End() == nil
}

// read takes a value that surely fits.
func (k *simple) read(scan *strictjson.Scanner) error {
	if strings.IndexByte(k.first, scan.Next()) < 0 {
		return errUnsure
	}
	if k.items != nil {
		return scan.Array(func() error { return k.items.read(scan) })
	}
	value, err := scan.Value()
	if err == nil && k.whole && bytes.ContainsAny(value, ".eE") {
		err = errUnsure
	}
	return err
}
