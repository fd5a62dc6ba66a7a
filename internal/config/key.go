package config

import (
	"reflect"
	"strings"
	"time"
)

// key is one field of a struct of this package, as its tags declare it.
type key struct {
	index  []int
	field  string // Go name
	name   string // YAML name
	tag    reflect.StructTag
	typ    reflect.Type
	parent reflect.Type
}

// keys lists the fields of a struct type that have a YAML name, in the order of declaration. Those of an embedded struct are its own.
func keys(t reflect.Type) []key {
	var list []key
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, k := range keys(f.Type) {
				k.index = append([]int{i}, k.index...)
				list = append(list, k)
			}
		} else if name := f.Tag.Get("yaml"); name != "" {
			list = append(list, key{index: []int{i}, field: f.Name, name: name, tag: f.Tag, typ: f.Type, parent: t})
		}
	}
	return list
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	rateType     = reflect.TypeFor[Rate]()
)

// isSection tells whether a type is a mapping of declared keys.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != rateType
}

// isEntry tells whether a type is a pointer to such a mapping: the entries of pools, queues and namespaces, which are made with their
// defaults when they are named, and sections such as live, which are nil where they are absent.
func isEntry(t reflect.Type) bool { return t.Kind() == reflect.Pointer }

// shorthand is implemented by sections that may be written as one plain value; scalar names the key it stands for.
type shorthand interface{ scalar() string }

// defaulter is implemented by entries of a map and by sections that may be absent, which do not appear in Default.
type defaulter interface{ defaults() }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// environment is the variable that sets a key: HEADRACE_SERVER_LISTEN.
func environment(path string) string {
	return "HEADRACE_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// walk visits every key of a section that holds a value rather than further keys, in the order of declaration and the
// entries of maps by name.
func walk(section reflect.Value, path string, visit func(path string, k key, v reflect.Value)) {
	for _, k := range keys(section.Type()) {
		v, at := section.FieldByIndex(k.index), join(path, k.name)
		switch {
		case isSection(k.typ):
			walk(v, at, visit)
		case isEntry(k.typ):
			if !v.IsNil() {
				walk(v.Elem(), at, visit)
			}
		case k.typ.Kind() == reflect.Map && isEntry(k.typ.Elem()):
			for _, name := range sortedNames(v) {
				walk(v.MapIndex(reflect.ValueOf(name)).Elem(), join(at, name), visit)
			}
		default:
			visit(at, k, v)
		}
	}
}
