// Package functions knows what the workers can do: each function by name, with the pool that runs it and the schema that its
// arguments must fit. The jobs plane and the edge validate against it before anything is stored or run.
package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// Kinds of functions.
const (
	Job   = "job"
	Call  = "call"
	Batch = "batch"
)

// Function is a callable of a pool.
type Function struct {
	workers.Function
	Pool *workers.Pool

	schema *jsonschema.Schema
	plain  *plain // nil if the signature has more than simple types
	takes  map[string]bool

	defaults map[string]json.RawMessage // of the arguments whose default has JSON
}

// New compiles the schema of a function that a pool announced.
func New(f workers.Function, pool *workers.Pool) (*Function, error) {
	if f.Kind != Call && (f.Name == "cancel" || f.Name == "retry") { // POST /v1/jobs/retry would do something else
		return nil, problem.New("HR9003", "a job cannot be called %s, which is a verb of the API", f.Name).At("function " + f.Name).Hinting("give the function another name")
	}
	fn := &Function{Function: f, Pool: pool}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(f.Args))
	if err != nil {
		return nil, fmt.Errorf("schema of function %s: %w", f.Name, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	where := "function:///" + f.Name
	if err := compiler.AddResource(where, doc); err != nil {
		return nil, fmt.Errorf("schema of function %s: %w", f.Name, err)
	}
	if fn.schema, err = compiler.Compile(where); err != nil {
		return nil, fmt.Errorf("schema of function %s: %w", f.Name, err)
	}
	var shape struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(f.Args, &shape); err != nil {
		return nil, fmt.Errorf("schema of function %s: %w", f.Name, err)
	}
	fn.takes = make(map[string]bool, len(shape.Properties))
	for name, raw := range shape.Properties {
		fn.takes[name] = true
		var property struct {
			Default json.RawMessage `json:"default"`
		}
		if json.Unmarshal(raw, &property) == nil && property.Default != nil {
			if fn.defaults == nil {
				fn.defaults = map[string]json.RawMessage{}
			}
			fn.defaults[name] = property.Default
		}
	}
	if err := fn.checkEvent(); err != nil {
		return nil, err
	}
	fn.plain = newPlain(f.Args)
	return fn, nil
}

// Takes tells whether the function has a parameter of this name.
func (f *Function) Takes(argument string) bool { return f.takes[argument] }

// TakesBlob tells whether the parameter of this name is a blob.
func (f *Function) TakesBlob(argument string) bool {
	for _, b := range f.Blobs {
		if b == argument {
			return true
		}
	}
	return false
}

// Validate checks arguments, a JSON object, against the signature. The problem is HR2002 and names the field by a JSON pointer under
// /args.
func (f *Function) Validate(args []byte) error {
	if f.plain != nil && f.plain.fits(args) {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(args))
	if err != nil {
		return problem.New("HR2001", "arguments of %s: %w", f.Name, err)
	}
	if err := f.schema.Validate(value); err != nil {
		return f.explain(err)
	}
	return nil
}

var english = message.NewPrinter(language.English)

// explain turns the deepest cause of a schema error into one sentence about one field.
func (f *Function) explain(err error) error {
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return problem.New("HR2002", "arguments of %s: %w", f.Name, err)
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	where := "/args"
	for _, token := range invalid.InstanceLocation {
		where += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
	}
	return problem.New("HR2002", "%s: %s", f.Name, invalid.ErrorKind.LocalizedString(english)).At(where)
}
