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
	pool, queue := &Pool{}, &Queue{}
	pool.defaults()
	queue.defaults()
	sample := *Default()
	sample.Pools, sample.Queues = map[string]*Pool{"NAME": pool}, map[string]*Queue{"NAME": queue}
	sample.Live = DefaultLive()
	sample.Live.Channels, sample.Live.Namespaces = DefaultNamespace(), map[string]*Namespace{"NAME": DefaultNamespace()}
	visit := func(path string, k key, v reflect.Value) {
		f := Field{
			Path: path, Env: environment(path), Type: typeName(k.typ), Secret: k.tag.Get("secret") != "",
			Default: defaultText(v), Doc: k.doc(),
		}
		if enum := k.tag.Get("enum"); enum != "" {
			f.Enum = strings.Split(enum, ",")
		}
		list = append(list, f)
		if k.typ.Kind() == reflect.Slice && isSection(k.typ.Elem()) {
			for _, inner := range keys(k.typ.Elem()) {
				list = append(list, Field{Path: path + "[]." + inner.name, Type: typeName(inner.typ), Doc: inner.doc()})
			}
		}
	}
	walk(reflect.ValueOf(&sample).Elem(), "", visit)
	return list
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
//go:embed config.go engine.go server.go pool.go queue.go jobs.go live.go route.go observe.go
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
