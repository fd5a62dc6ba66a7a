package config

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
)

// ReadAdmin reads the section admin as Load does, and nothing else: where the server of a configuration that is broken elsewhere is asked.
// The errors are those of Load.
func ReadAdmin(paths, environ []string, flags map[string]string) (*Admin, error) {
	c := Default()
	env := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, unread(err)
		}
		if err := c.admin(path, data, env); err != nil {
			return nil, err
		}
	}
	settable := c.settable()
	for _, path := range slices.Sorted(maps.Keys(settable)) {
		if !strings.HasPrefix(path, "admin.") {
			continue
		}
		if text, ok := env[environment(path)]; ok {
			if err := c.put(path, text, place{name: "environment " + environment(path)}); err != nil {
				return nil, err
			}
		}
		if text, ok := flags[path]; ok {
			if err := c.put(path, text, place{name: "flag"}); err != nil {
				return nil, err
			}
		}
	}
	return &c.Admin, nil
}

// admin puts the section of one file over c.
func (c *Config) admin(path string, data []byte, env map[string]string) error {
	l := newLayer(path, data, env)
	node, err := l.parseYAML(data)
	if err != nil || node == nil {
		return err
	}
	entries, err := l.mapping(node, "")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Key.String() == "admin" {
			return l.member(entry.Key, entry.Value, reflect.ValueOf(c).Elem(), "", "admin")
		}
	}
	return nil
}
