package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// Load reads the files in order, then the environment in the form of os.Environ, then flags from key to value, as in
// {"server.listen": ":9090"}, each over what came before. Lists are replaced, mappings are merged. Paths in files are relative
// to the file, the others to the working folder. The errors are HR9001, HR9002, HR9003 and HR9005.
func Load(paths, environ []string, flags map[string]string) (*Config, error) {
	var texts []Text
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, unread(err)
		}
		texts = append(texts, Text{path, string(data)})
	}
	return Parse(texts, environ, flags)
}

func unread(err error) *problem.Error {
	return problem.New("HR9001", "%w", err).Hinting("name a file that exists with --config, or make one with: headrace init python")
}

// Text is what was in a file of the configuration.
type Text struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Texts are the files that the configuration was read from. They may hold secrets.
func (c *Config) Texts() []Text { return c.texts }

// Parse is Load with the texts of the files, which need not be there any more; those that they name are read.
func Parse(texts []Text, environ []string, flags map[string]string) (*Config, error) {
	c := Default()
	c.texts = texts
	env := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	for _, t := range texts {
		if err := c.file(t.Path, []byte(t.Text), env); err != nil {
			return nil, err
		}
	}
	if len(texts) > 0 && c.places["engine.data"] == (place{}) {
		c.Engine.Data = relative(filepath.Dir(texts[0].Path), c.Engine.Data)
	}
	_, hadDefault := c.Pools[DefaultPool]
	addEntry(reflect.ValueOf(c.Pools), DefaultPool) // so that the layers below can address it
	absent := c.enableAbsent()
	if err := c.environment(env); err != nil {
		return nil, err
	}
	if err := c.flags(flags); err != nil {
		return nil, err
	}
	for path, section := range absent {
		if !c.isSet(path) {
			section.SetZero()
		}
	}
	if !hadDefault && !c.isSet("pools."+DefaultPool) {
		delete(c.Pools, DefaultPool)
	}
	c.inherit()
	for name, u := range c.Upstreams {
		if at := c.places["upstreams."+name+".run"]; u.Directory == "" && at.line > 0 {
			u.Directory = filepath.Dir(at.name)
		}
	}
	if !c.isSet("server.max_json") {
		c.Server.MaxJSON = min(c.Server.MaxJSON, c.Server.MaxBody)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// enableAbsent makes the sections that are absent, so that environment and flags can address their keys, and returns them by path.
func (c *Config) enableAbsent() map[string]reflect.Value {
	absent := map[string]reflect.Value{}
	var visit func(section reflect.Value, path string)
	visit = func(section reflect.Value, path string) {
		for _, k := range keys(section.Type()) {
			v, at := section.FieldByIndex(k.index), join(path, k.name)
			switch {
			case isSection(k.typ):
				visit(v, at)
			case isEntry(k.typ):
				if v.IsNil() {
					enable(v)
					absent[at] = v
				}
				visit(v.Elem(), at)
			}
		}
	}
	visit(reflect.ValueOf(c).Elem(), "")
	return absent
}

func newLayer(path string, data []byte, env map[string]string) *layer {
	return &layer{name: path, lines: strings.Split(string(data), "\n"), base: filepath.Dir(path), env: env, places: map[string]place{}}
}

// file puts one file over c.
func (c *Config) file(path string, data []byte, env map[string]string) error {
	l := newLayer(path, data, env)
	node, err := l.parseYAML(data)
	if err != nil || node == nil {
		return err
	}
	if err := l.section(node, reflect.ValueOf(c).Elem(), ""); err != nil {
		return err
	}
	return c.merge(l)
}

// environment puts the variables over c. A variable of a section that has no such key is refused; others are not ours.
func (c *Config) environment(env map[string]string) error {
	settable := map[string]string{}
	for path := range c.settable() {
		settable[environment(path)] = path
	}
	sections := keys(reflect.TypeFor[Config]())
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := place{name: "environment " + name}
		if path, ok := settable[name]; ok {
			if err := c.put(path, env[name], at); err != nil {
				return err
			}
			continue
		}
		ours := slices.ContainsFunc(sections, func(k key) bool { return strings.HasPrefix(name, environment(k.name)+"_") })
		if ours && !fromKubernetes(name) {
			e := problem.New("HR9002", "unknown variable %s", name).At(at.String())
			if near := Nearest(name, slices.Sorted(maps.Keys(settable))); near != "" {
				e = e.Hinting("write %s", near)
			}
			return e
		}
	}
	return nil
}

var kubernetes = regexp.MustCompile(`_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// fromKubernetes recognises what Kubernetes sets in every container for a Service named headrace-SOMETHING.
func fromKubernetes(name string) bool { return kubernetes.MatchString(name) }

func (c *Config) flags(flags map[string]string) error {
	settable := c.settable()
	for _, path := range slices.Sorted(maps.Keys(flags)) {
		at := place{name: "flag"}
		if _, ok := settable[path]; !ok {
			e := problem.New("HR9002", "unknown key %s", path).At(at.String())
			if near := Nearest(path, slices.Sorted(maps.Keys(settable))); near != "" {
				e = e.Hinting("write %s", near)
			}
			return e
		}
		if err := c.put(path, flags[path], at); err != nil {
			return err
		}
	}
	return nil
}

// target is a key that can be set by its path.
type target struct {
	path  string
	key   key
	value reflect.Value
}

// settable are all keys that hold a value, and the sections that have a shorthand.
func (c *Config) settable() map[string]target {
	out := map[string]target{}
	root := reflect.ValueOf(c).Elem()
	walk(root, "", func(path string, k key, v reflect.Value) { out[path] = target{path, k, v} })
	for _, k := range keys(root.Type()) {
		if short, ok := root.FieldByIndex(k.index).Interface().(shorthand); ok {
			out[k.name] = out[join(k.name, short.scalar())]
		}
	}
	return out
}

// put sets one key from text outside a file. Lists and maps are written in YAML.
func (c *Config) put(path, text string, at place) error {
	t := c.settable()[path]
	path = t.path // that of the long form
	l := &layer{name: at.name, places: map[string]place{}}
	switch t.value.Kind() {
	case reflect.Slice, reflect.Map:
		node, err := l.parseYAML([]byte(text))
		if err != nil || node == nil {
			return err
		}
		if err := l.value(node, t.value, t.key, path); err != nil {
			return err
		}
	default:
		if err := l.set(text, at, t.value, t.key, path); err != nil {
			return err
		}
	}
	return c.merge(l)
}

// merge takes over the places of a layer, and resolves the shorthand app.
func (c *Config) merge(l *layer) error {
	if at, ok := l.places["app"]; ok {
		const long = "pools." + DefaultPool + ".app"
		if other, ok := l.places[long]; ok {
			return invalid(other, long, "the key app is set too, at %s", at).Hinting("remove one of the two")
		}
		entry := addEntry(reflect.ValueOf(c.Pools), DefaultPool)
		entry.Interface().(*Pool).App = c.App
		l.places[long] = at
	}
	maps.DeleteFunc(c.places, func(at string, _ place) bool { // a list was replaced, and so are the places of its elements
		list, _, element := strings.Cut(at, "[")
		_, replaced := l.places[list]
		return element && replaced
	})
	maps.Copy(c.places, l.places)
	return nil
}

// isSet tells whether any layer set the key, or one below it.
func (c *Config) isSet(path string) bool {
	for at := range c.places {
		if at == path || strings.HasPrefix(at, path+".") {
			return true
		}
	}
	return false
}

// inherit gives named queues the values of defaults for the keys that they leave out.
func (c *Config) inherit() {
	base := map[string]reflect.Value{}
	walk(reflect.ValueOf(c.Queues[DefaultQueue]).Elem(), "", func(path string, _ key, v reflect.Value) { base[path] = v })
	for name, queue := range c.Queues {
		if name == DefaultQueue {
			continue
		}
		walk(reflect.ValueOf(queue).Elem(), "", func(path string, _ key, v reflect.Value) {
			at := join("queues."+name, path)
			if _, set := c.places[at]; set {
				return
			}
			v.Set(base[path])
			if from, ok := c.places[join("queues."+DefaultQueue, path)]; ok {
				c.places[at] = from
			}
		})
	}
}
