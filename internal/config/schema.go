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
	root := sectionSchema(reflect.TypeFor[Config](), reflect.ValueOf(Default()).Elem())
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

// sectionSchema describes a struct; defaults holds its default values, or is invalid where there are none.
func sectionSchema(t reflect.Type, defaults reflect.Value) schema {
	properties, required := schema{}, []string{}
	for _, k := range keys(t) {
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.FieldByIndex(k.index)
		}
		property := valueSchema(k, k.typ, value)
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

func valueSchema(k key, t reflect.Type, value reflect.Value) schema {
	switch {
	case isSection(t):
		return sectionSchema(t, value)
	case isEntry(t):
		entry := reflect.New(t.Elem())
		entry.Interface().(defaulter).defaults()
		return sectionSchema(t.Elem(), entry.Elem())
	case t.Kind() == reflect.Slice:
		element := reflect.Value{}
		if d, ok := reflect.New(t.Elem()).Interface().(defaulter); ok {
			d.defaults()
			element = reflect.ValueOf(d).Elem()
		}
		return schema{"type": []string{"array", "null"}, "items": valueSchema(k, t.Elem(), element)}
	case t.Kind() == reflect.Map:
		s := schema{"type": []string{"object", "null"}, "additionalProperties": valueSchema(k, t.Elem(), reflect.Value{})}
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
