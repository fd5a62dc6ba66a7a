package config

import (
	"embed"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"
)

// Field is one key of the configuration, as the reference and the schema show it.
type Field struct {
	Path    string   // server.listen, pools.NAME.max, routes[].match
	Env     string   // variable that sets it; empty for keys inside of lists
	Type    string   // text, whole number, number, true or false, duration, size, rate, list, mapping
	Default string   // as it is written in YAML; empty for none
	Enum    []string // allowed values; nil for any
	Secret  bool     // may be given as file:NAME and is never shown
	Doc     string   // one paragraph
}

// Fields lists all keys that hold a value, in the order of declaration.
func Fields() []Field {
	var list []Field
	sample := reflect.ValueOf(Default()).Elem()
	enableAll(sample)
	fieldsOf(sample, "", true, &list)
	return list
}

// enableAll makes every section that may be absent, and an entry NAME in every map of entries.
func enableAll(section reflect.Value) {
	for _, k := range keys(section.Type()) {
		v := section.FieldByIndex(k.index)
		switch {
		case isSection(k.typ):
			enableAll(v)
		case isEntry(k.typ):
			enable(v)
			enableAll(v.Elem())
		case k.typ.Kind() == reflect.Map && isEntry(k.typ.Elem()):
			if v.IsNil() {
				v.Set(reflect.MakeMap(k.typ))
			}
			v.Clear()
			enableAll(addEntry(v, "NAME").Elem())
		}
	}
}

// fieldsOf lists the keys of a section. Those of a policy are listed once, where it is an entry of its own.
func fieldsOf(section reflect.Value, path string, settable bool, list *[]Field) {
	for _, k := range keys(section.Type()) {
		if policy := reflect.TypeFor[Policy](); k.parent == policy && section.Type() != policy {
			continue
		}
		v, at := section.FieldByIndex(k.index), join(path, k.name)
		switch {
		case isSection(k.typ):
			fieldsOf(v, at, settable, list)
			continue
		case isEntry(k.typ):
			fieldsOf(v.Elem(), at, settable, list)
			continue
		case k.typ.Kind() == reflect.Map && isEntry(k.typ.Elem()):
			fieldsOf(v.MapIndex(reflect.ValueOf("NAME")).Elem(), join(at, "NAME"), settable, list)
			continue
		}
		f := Field{Path: at, Type: typeName(k.typ), Secret: k.tag.Get("secret") != "", Default: defaultText(v), Doc: k.doc()}
		if settable {
			f.Env = environment(at)
		}
		if enum := k.tag.Get("enum"); enum != "" {
			f.Enum = strings.Split(enum, ",")
		}
		*list = append(*list, f)
		if k.typ.Kind() == reflect.Slice && isSection(k.typ.Elem()) {
			element := reflect.New(k.typ.Elem())
			if d, ok := element.Interface().(defaulter); ok {
				d.defaults()
			}
			enableAll(element.Elem())
			fieldsOf(element.Elem(), at+"[]", false, list)
		}
	}
}

func typeName(t reflect.Type) string {
	switch t {
	case durationType:
		return "duration"
	case sizeType:
		return "size"
	case rateType:
		return "rate"
	}
	switch t.Kind() {
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "mapping"
	}
	return "text"
}

// defaultText is the YAML of a default, or "" for an empty text, list or mapping.
func defaultText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return ""
	}
	if text := scalarYAML(v); text != `""` {
		return text
	}
	return ""
}

// declarations are the sources of the structs: the comments of the fields are their documentation.
//
//go:embed access.go auth.go cache.go compress.go config.go engine.go gateway.go jobs.go limit.go live.go merge.go observe.go openapi.go policy.go pool.go protect.go
//go:embed queue.go route.go server.go tls.go upstream.go
var declarations embed.FS

// comments maps Type.Field, and Type alone, to its comment as one line.
var comments = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	files, _ := declarations.ReadDir(".")
	for _, entry := range files {
		source, _ := declarations.ReadFile(entry.Name())
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			panic(err) // the compiler has read this file
		}
		ast.Inspect(file, func(n ast.Node) bool {
			declaration, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range declaration.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				out[typ.Name.Name] = oneLine(declaration.Doc)
				if fields, ok := typ.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							out[typ.Name.Name+"."+name.Name] = oneLine(field.Doc)
						}
					}
				}
			}
			return false
		})
	}
	return out
})

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }

func (k key) doc() string { return comments()[k.parent.Name()+"."+k.field] }
