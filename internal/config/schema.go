package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// SchemaID is the address that the comment in a configuration file names, so that editors complete and check it.
const SchemaID = "https://raw.githubusercontent.com/headrace/headrace/main/spec/config.schema.json"

// Schema is the JSON Schema of the configuration, generated from the declarations of this package.
func Schema() []byte {
	defs := definitions{}
	root := defs.section(reflect.TypeFor[Config](), reflect.ValueOf(Default()).Elem())
	root["$defs"] = defs
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "headrace.yaml"
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic(err) // only maps, texts and numbers are in it
	}
	return b.Bytes()
}

type schema = map[string]any

// definitions are the sections that have defaults of their own, wherever they stand, by the names of their types.
type definitions map[string]schema

// entry refers to the definition of a section, and makes it if it is not there.
func (d definitions) entry(t reflect.Type) schema {
	if d[t.Name()] == nil {
		d[t.Name()] = schema{} // of a section that would hold itself
		entry := reflect.New(t)
		entry.Interface().(defaulter).defaults()
		d[t.Name()] = d.section(t, entry.Elem())
	}
	return schema{"$ref": "#/$defs/" + t.Name()}
}

// section describes a struct; defaults holds its default values, or is invalid where there are none.
func (d definitions) section(t reflect.Type, defaults reflect.Value) schema {
	properties, required := schema{}, []string{}
	for _, k := range keys(t) {
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.FieldByIndex(k.index)
		}
		property := d.value(k, k.typ, value)
		property["description"] = k.doc()
		properties[k.name] = property
		if k.tag.Get("required") != "" {
			required = append(required, k.name)
		}
	}
	s := schema{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if _, ok := reflect.Zero(t).Interface().(shorthand); ok {
		s["type"] = []string{"object", "string", "null"}
	}
	return s
}

func (d definitions) value(k key, t reflect.Type, value reflect.Value) schema {
	switch {
	case isSection(t):
		return d.section(t, value)
	case isEntry(t):
		return d.entry(t.Elem())
	case t.Kind() == reflect.Slice:
		items := schema{}
		if _, ok := reflect.New(t.Elem()).Interface().(defaulter); ok {
			items = d.entry(t.Elem())
		} else {
			items = d.value(k, t.Elem(), reflect.Value{})
		}
		return schema{"type": []string{"array", "null"}, "items": items}
	case t.Kind() == reflect.Map:
		s := schema{"type": []string{"object", "null"}, "additionalProperties": d.value(k, t.Elem(), reflect.Value{})}
		if isEntry(t.Elem()) {
			s["propertyNames"] = schema{"pattern": namePattern.String()}
		}
		return s
	}
	s := schema{}
	switch {
	case t == durationType:
		s["type"], s["pattern"] = "string", `^([0-9.]+(ns|us|µs|ms|s|m|h|d))+$`
	case t == sizeType:
		s["type"], s["pattern"] = "string", `^[0-9.]+ ?([KMGT]i?|k)?B$`
	case t == rateType:
		s["type"], s["pattern"] = "string", `^([0-9]+/[0-9.]*(ns|us|µs|ms|s|m|h|d))?$`
	case t.Kind() == reflect.Int:
		s["type"] = "integer"
		bound(s, k, "min", "minimum")
		bound(s, k, "max", "maximum")
	case t.Kind() == reflect.Float64:
		s["type"] = "number"
		bound(s, k, "min", "minimum")
		bound(s, k, "max", "maximum")
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	default:
		s["type"] = []string{"string", "number", "boolean"}
		if enum := k.tag.Get("enum"); enum != "" {
			s = schema{"enum": strings.Split(enum, ",")}
		}
	}
	if value.IsValid() && (value.Kind() != reflect.String || value.String() != "") {
		if s["type"] == "string" {
			s["default"] = format(value)
		} else {
			s["default"] = value.Interface()
		}
	}
	return s
}

func bound(s schema, k key, tag, keyword string) {
	if text := k.tag.Get(tag); text != "" {
		s[keyword] = json.Number(text)
	}
}

// Reference is the table of all keys in Markdown.
func Reference() string {
	var b strings.Builder
	section := ""
	for _, f := range Fields() {
		if name, _, nested := strings.Cut(strings.ReplaceAll(f.Path, "[]", ""), "."); name != section || b.Len() == 0 {
			if nested || f.Type == "list" || b.Len() == 0 {
				title := name
				if b.Len() == 0 && !nested {
					title = "first level"
				}
				fmt.Fprintf(&b, "\n## %s\n\n", title)
				if doc := sectionDoc(name); doc != "" && title == name {
					fmt.Fprintf(&b, "%s\n\n", doc)
				}
				b.WriteString("| key | value | default | environment | meaning |\n|---|---|---|---|---|\n")
			}
			section = name
		}
		value := f.Type
		if f.Enum != nil {
			value = strings.Join(f.Enum, ", ")
		}
		if f.Secret && f.Type == "mapping" {
			value += ", its values may be file:NAME"
		} else if f.Secret {
			value += ", or file:NAME"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Path, value, code(f.Default), code(f.Env), strings.ReplaceAll(f.Doc, "|", `\|`))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func sectionDoc(name string) string {
	for _, k := range keys(reflect.TypeFor[Config]()) {
		if k.name == name && (isSection(k.typ) || isEntry(k.typ) || k.typ.Kind() == reflect.Map) {
			return k.doc()
		}
	}
	return ""
}
