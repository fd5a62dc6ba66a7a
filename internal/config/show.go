package config

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"regexp"
	"strings"
)

// Show writes the values in effect as YAML that Load reads again. Secrets are shown as ***, passwords in addresses as xxxxx; they must be given anew.
// With origin, each line ends with a comment that tells where the value came from.
func (c *Config) Show(w io.Writer, origin bool) error {
	s := &shower{config: c, origin: origin}
	s.section(reflect.ValueOf(c).Elem(), "", "")
	_, err := io.WriteString(w, s.out.String())
	return err
}

type shower struct {
	config *Config
	origin bool
	out    strings.Builder
}

func (s *shower) section(v reflect.Value, path, indent string) {
	for _, k := range keys(v.Type()) {
		if path == "" && k.name == "app" {
			continue // shown as pools.default.app
		}
		s.value(v.FieldByIndex(k.index), k, join(path, k.name), indent, k.name+":")
	}
}

func (s *shower) value(v reflect.Value, k key, path, indent, label string) {
	switch {
	case isEntry(v.Type()) && v.IsNil():
	case isEntry(v.Type()):
		s.value(v.Elem(), k, path, indent, label)
	case isSection(v.Type()):
		s.line(indent+label, "")
		s.section(v, path, indent+"  ")
	case v.Kind() == reflect.Map:
		if v.Len() == 0 {
			s.line(indent+label+" {}", path)
			return
		}
		s.line(indent+label, "")
		for _, name := range sortedNames(v) {
			s.value(v.MapIndex(reflect.ValueOf(name)), k, join(path, name), indent+"  ", quote(name)+":")
		}
	case v.Kind() == reflect.Slice && v.Len() > 0 && isSection(v.Type().Elem()):
		s.line(indent+label, path)
		for i := range v.Len() {
			s.element(v.Index(i), fmt.Sprintf("%s[%d]", path, i), indent+"  ")
		}
	case v.Kind() == reflect.Slice:
		words := make([]string, v.Len())
		for i := range words {
			words[i] = quote(v.Index(i).String())
		}
		s.line(indent+label+" ["+strings.Join(words, ", ")+"]", path)
	default:
		s.line(indent+label+" "+scalarYAML(hide(v, k)), path)
	}
}

// element writes one mapping of a list, without the keys that are not set.
func (s *shower) element(v reflect.Value, path, indent string) {
	var body shower
	body.config, body.origin = s.config, s.origin
	for _, k := range keys(v.Type()) {
		if field := v.FieldByIndex(k.index); !field.IsZero() {
			body.value(field, k, join(path, k.name), indent+"  ", k.name+":")
		}
	}
	if body.out.Len() == 0 {
		s.line(indent+"- {}", path)
		return
	}
	s.out.WriteString(indent + "- " + body.out.String()[len(indent)+2:])
}

func (s *shower) line(text, path string) {
	s.out.WriteString(text)
	if s.origin && path != "" {
		fmt.Fprintf(&s.out, "%s# %s", strings.Repeat(" ", max(1, 44-len(text))), s.config.Origin(path))
	}
	s.out.WriteByte('\n')
}

func hide(v reflect.Value, k key) reflect.Value {
	kind := k.tag.Get("secret")
	if kind == "" || v.String() == "" {
		return v
	}
	if kind == "url" {
		addresses := strings.Split(v.String(), ",")
		for i, address := range addresses {
			if u, err := url.Parse(address); err == nil {
				addresses[i] = u.Redacted()
			}
		}
		return reflect.ValueOf(strings.Join(addresses, ","))
	}
	return reflect.ValueOf("***")
}

func scalarYAML(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return quote(v.String())
	}
	if text := format(v); text != "" {
		return text
	}
	return `""`
}

var plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*$`)

// quote writes a text so that YAML reads the same text.
func quote(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plain.MatchString(text) {
			return text
		}
	}
	out, _ := json.Marshal(text)
	return string(out)
}
