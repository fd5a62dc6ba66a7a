package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/headrace/headrace/internal/problem"
)

// maxFile is the largest configuration that is read, in bytes.
const maxFile = 1 << 20

// layer puts the values of one document over a configuration.
type layer struct {
	name   string            // of the file, or what place.name says
	lines  []string          // of the file; nil if positions in it mean nothing to the user
	base   string            // folder that paths are relative to
	env    map[string]string // for ${env:NAME}; nil expands nothing
	places map[string]place  // receives where each key was set
}

// parseYAML returns the one document of a text, or nil if it is empty.
func (l *layer) parseYAML(data []byte) (node ast.Node, err error) {
	if len(data) > maxFile {
		return nil, problem.New("HR9001", "configuration is larger than 1 MiB").At(l.name)
	}
	// The parser is known to panic on some malformed texts; for the user that is one more syntax error.
	defer func() {
		if cause := recover(); cause != nil {
			node, err = nil, problem.New("HR9001", "malformed YAML").At(l.name)
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			what := strings.Join(strings.Fields(syntax.GetMessage()), " ")
			at := l.at(syntax.GetToken())
			e := problem.New("HR9001", "malformed YAML: %s", what).At(at.caret()).Hinting("correct the YAML at the mark")
			if indent := at.text[:len(at.text)-len(strings.TrimLeft(at.text, " \t"))]; strings.Contains(indent, "\t") {
				e = e.Hinting("indent with spaces; YAML does not take tabs")
			}
			return nil, e
		}
		return nil, problem.New("HR9001", "malformed YAML: %w", err).At(l.name)
	}
	if len(file.Docs) > 1 {
		return nil, problem.New("HR9001", "more than one YAML document").At(l.at(file.Docs[1].GetToken()).caret()).
			Hinting("remove the --- line and what follows it")
	}
	if len(file.Docs) == 0 || empty(file.Docs[0].Body) {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

func empty(n ast.Node) bool {
	if n == nil {
		return true
	}
	switch n.Type() {
	case ast.NullType, ast.CommentType, ast.CommentGroupType:
		return true
	}
	return false
}

func (l *layer) at(t *token.Token) place {
	p := place{name: l.name}
	if l.lines == nil || t == nil || t.Position == nil {
		return p
	}
	p.line, p.col = max(t.Position.Line, 1), max(t.Position.Column, 1)
	if p.line <= len(l.lines) {
		p.text = strings.TrimRight(l.lines[p.line-1], "\r")
	}
	return p
}

// of is the place where a node begins.
func (l *layer) of(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return l.at(m.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return l.at(m.Key.GetToken())
	}
	return l.at(n.GetToken())
}

// section decodes a mapping into a struct.
func (l *layer) section(n ast.Node, v reflect.Value, path string) error {
	if short, ok := v.Interface().(shorthand); ok && isScalar(n) {
		return l.member(n, n, v, path, short.scalar())
	}
	entries, err := l.mapping(n, path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := l.member(entry.Key, entry.Value, v, path, entry.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

// member decodes one key of a struct.
func (l *layer) member(at, n ast.Node, v reflect.Value, path, name string) error {
	list := keys(v.Type())
	i := slices.IndexFunc(list, func(k key) bool { return k.name == name })
	if i < 0 {
		return unknown(l.at(at.GetToken()), path, name, list)
	}
	if section := v.FieldByIndex(list[i].index); isEntry(section.Type()) {
		enable(section)
		l.places[join(path, name)] = l.at(at.GetToken())
	}
	if empty(n) {
		return nil
	}
	return l.value(n, v.FieldByIndex(list[i].index), list[i], join(path, name))
}

func (l *layer) value(n ast.Node, v reflect.Value, k key, path string) error {
	t := v.Type()
	switch {
	case isSection(t):
		return l.section(n, v, path)
	case isEntry(t):
		return l.section(n, v.Elem(), path)
	case t.Kind() == reflect.Slice:
		return l.list(n, v, k, path)
	case t.Kind() == reflect.Map:
		return l.table(n, v, k, path)
	}
	text, ok := scalarText(n)
	if !ok {
		if isReference(n) {
			return references(l.of(n), path)
		}
		return invalid(l.of(n), path, "a plain value is needed").Hinting("write %s: VALUE on one line", k.name)
	}
	return l.set(text, l.of(n), v, k, path)
}

// set puts the text of one value into v.
func (l *layer) set(text string, p place, v reflect.Value, k key, path string) error {
	value, err := l.read(text, k, v.Type())
	if err != nil {
		e := invalid(p, path, "%w", err)
		var m *mistake
		if errors.As(err, &m) {
			e = e.Hinting("%s", m.hint)
		}
		return e
	}
	v.Set(value)
	l.places[path] = p
	return nil
}

func (l *layer) read(text string, k key, t reflect.Type) (reflect.Value, error) {
	var err error
	if t.Kind() == reflect.String {
		if l.env != nil {
			if text, err = expand(text, l.env); err != nil {
				return reflect.Value{}, err
			}
		}
		if k.tag.Get("secret") != "" {
			if text, err = reveal(text, l.base); err != nil {
				return reflect.Value{}, err
			}
		}
		if kind := k.tag.Get("path"); kind == "true" || kind == "command" && filepath.Base(text) != text {
			text = relative(l.base, text)
		}
	}
	v, err := k.parse(text, t)
	if err == nil {
		err = k.check(v)
	}
	return v, err
}

// list decodes a sequence; it replaces that of an earlier layer.
func (l *layer) list(n ast.Node, v reflect.Value, k key, path string) error {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		return invalid(l.of(n), path, "a list is needed").Hinting("write each element on a line that begins with -")
	}
	out := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, element := range sequence.Values {
		if sequence.IsFlowStyle {
			element = unsplit(element)
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if empty(element) {
			return invalid(l.at(sequence.GetToken()), at, "the element is empty").Hinting("write a value, or remove the -")
		}
		l.places[at] = l.of(element)
		if d, ok := out.Index(i).Addr().Interface().(defaulter); ok {
			d.defaults()
		}
		if err := l.value(element, out.Index(i), k, at); err != nil {
			return err
		}
	}
	v.Set(out)
	l.places[path] = l.of(n)
	return nil
}

// unsplit makes one text again of a plain text with a colon in it, as in [http://127.0.0.1:9000], which the parser takes for a mapping where
// the list is inside of further mappings. A colon only parts a key from its value if a space follows.
func unsplit(n ast.Node) ast.Node {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) == 1 {
		n = m.Values[0]
	}
	m, ok := n.(*ast.MappingValueNode)
	if !ok {
		return n
	}
	key, isText := m.Key.(*ast.StringNode)
	value, isScalar := scalarText(m.Value)
	if !isText || !isScalar || key.GetToken().Type != token.StringType || m.Start == nil || m.Start.Next == nil {
		return n
	}
	colon, after := m.Start.Position, m.Start.Next.Position
	if colon.Line != after.Line || after.Column != colon.Column+1 {
		return n
	}
	whole := ast.String(key.GetToken())
	whole.Value = key.Value + ":" + value
	return whole
}

// table decodes a mapping with free names: pools, queues, env.
func (l *layer) table(n ast.Node, v reflect.Value, k key, path string) error {
	entries, err := l.mapping(n, path)
	if err != nil {
		return err
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, entry := range entries {
		name := entry.Key.String()
		if text, ok := scalarText(entry.Key); ok {
			name = text
		}
		at := join(path, name)
		if !isEntry(v.Type().Elem()) {
			element := reflect.New(v.Type().Elem()).Elem()
			if err := l.value(entry.Value, element, k, at); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(name), element)
			l.places[path] = l.of(n)
			continue
		}
		if !namePattern.MatchString(name) {
			return invalid(l.at(entry.Key.GetToken()), at, "%q is not a name", name).
				Hinting("write a lower case letter, then letters, digits, - or _, at most 63 in all")
		}
		element := addEntry(v, name)
		l.places[at] = l.at(entry.Key.GetToken())
		if !empty(entry.Value) {
			if err := l.section(entry.Value, element.Elem(), at); err != nil {
				return err
			}
		}
	}
	return nil
}

// addEntry returns the entry of a map, and makes it with its defaults if it is not there.
func addEntry(table reflect.Value, name string) reflect.Value {
	if entry := table.MapIndex(reflect.ValueOf(name)); entry.IsValid() {
		return entry
	}
	entry := reflect.New(table.Type().Elem().Elem())
	entry.Interface().(defaulter).defaults()
	table.SetMapIndex(reflect.ValueOf(name), entry)
	return entry
}

// enable makes a section that may be absent, with its defaults, if it is not there.
func enable(section reflect.Value) {
	if section.IsNil() {
		section.Set(reflect.New(section.Type().Elem()))
		section.Interface().(defaulter).defaults()
	}
}

func (l *layer) mapping(n ast.Node, path string) ([]*ast.MappingValueNode, error) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, nil
	}
	if isReference(n) {
		return nil, references(l.of(n), path)
	}
	if path == "" {
		return nil, problem.New("HR9001", "the configuration is not a mapping").At(l.of(n).caret()).
			Hinting("write KEY: VALUE lines")
	}
	return nil, invalid(l.of(n), path, "a mapping is needed").Hinting("write KEY: VALUE lines below %s", path)
}

func isScalar(n ast.Node) bool { _, ok := scalarText(n); return ok }

// scalarText is the text of a plain value as it was written, quotes removed. Anchors, aliases and tags are none.
func scalarText(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func isReference(n ast.Node) bool {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType:
		return true
	}
	return false
}

func references(p place, path string) error {
	return invalid(p, path, "anchors, aliases and tags are not supported").Hinting("write the value in full; queues.defaults holds for all queues")
}

// unknown is HR9002 for a key that a section does not have.
func unknown(p place, path, name string, list []key) error {
	e := problem.New("HR9002", "unknown key %s", join(path, name)).At(p.caret())
	names := make([]string, len(list))
	for i, k := range list {
		names[i] = k.name
	}
	if near := Nearest(name, names); near != "" {
		return e.Hinting("write %s", near)
	}
	var homes []string
	for _, f := range Fields() {
		if parent, leaf := splitPath(f.Path); leaf == name {
			homes = append(homes, parent)
		}
	}
	if len(homes) > 0 {
		return e.Hinting("%s belongs in %s", name, strings.Join(homes, " or "))
	}
	slices.Sort(names)
	return e.Hinting("the keys here are %s", strings.Join(names, ", "))
}

func splitPath(path string) (parent, leaf string) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "the first level", path
	}
	return path[:i], path[i+1:]
}

func sortedNames(table reflect.Value) []string {
	names := map[string]struct{}{}
	for _, name := range table.MapKeys() {
		names[name.String()] = struct{}{}
	}
	return slices.Sorted(maps.Keys(names))
}
