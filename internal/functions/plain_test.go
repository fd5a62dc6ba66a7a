package functions

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/workers"
)

const plainSchema = `{"type":"object","properties":{"n":{"type":"integer"},"x":{"type":"number","default":1.5},"s":{"type":"string"},"ok":{"type":"boolean"},
	"list":{"type":"array","items":{"type":"array","items":{"type":"number"}}}},"required":["n","s"],"additionalProperties":false}`

func compiled(t testing.TB, schema string) *Function {
	fn, err := New(workers.Function{Name: "f", Kind: Job, Args: []byte(schema)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fn
}

func TestPlainKnowsWhatSurelyFits(t *testing.T) {
	p := compiled(t, plainSchema).plain
	for args, want := range map[string]bool{
		`{"n":1,"s":""}`: true, ` { "s" : "a\u0062" , "n" : -12 , "list" : [ [ 1 , 2.5e3 ] , [] ] , "ok" : true } `: true,
		`{"n":1}`: false, `{"n":1.5,"s":""}`: false, `{"n":1e2,"s":""}`: false, `{"n":"1","s":""}`: false, `{"n":1,"s":"","more":1}`: false,
		`{"n":1,"s":"","list":[1]}`: false, `{"n":1,"n":2,"s":""}`: false, `{"n":01,"s":""}`: false, `{"n":1,"s":""}{}`: false, `[]`: false, ``: false,
		`{"n":1,"s":"","ok":tru}`: false, `{"n":-,"s":""}`: false,
	} {
		if got := p.fits([]byte(args)); got != want {
			t.Errorf("%s fits: %v", args, got)
		}
	}
}

func TestSchemasThatSayMoreAreNotPlain(t *testing.T) {
	for _, schema := range []string{
		`{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}`, `{"type":"object","properties":{"n":{"anyOf":[{"type":"null"}]}}}`,
		`{"type":"object","properties":{"n":{"$ref":"#/$defs/N"}},"$defs":{"N":{"type":"integer"}}}`, `{"type":"object","properties":{"n":{"type":"array"}}}`,
		`{"type":"object","properties":{"n":{"type":["integer","null"]}}}`, `{"type":"object","properties":{},"minProperties":1}`,
	} {
		if compiled(t, schema).plain != nil {
			t.Errorf("plain: %s", schema)
		}
	}
}

func FuzzPlainAgreesWithTheSchema(f *testing.F) {
	fn := compiled(f, plainSchema)
	f.Add([]byte(`{"n":1,"s":"a","list":[[1]],"x":2}`))
	f.Add([]byte(`{"n":1.0,"s":"a"}`))
	f.Fuzz(func(t *testing.T, args []byte) {
		if !fn.plain.fits(args) {
			return
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(args))
		if err == nil {
			err = fn.schema.Validate(value)
		}
		if err != nil {
			t.Errorf("%q surely fits: %v", args, err)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	fn := compiled(b, `{"type":"object","properties":{"index":{"type":"integer"}},"required":["index"],"additionalProperties":false}`)
	args := []byte(`{"index":123456}`)
	for _, way := range []string{"plain", "schema"} {
		b.Run(way, func(b *testing.B) {
			if way == "schema" {
				fn.plain = nil
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := fn.Validate(args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
