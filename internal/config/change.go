package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Changes lists the keys whose values differ, in order: server.listen, routes, pools.web.max. A section or an entry that only one of the
// two has is one change, as in live or pools.web.
func Changes(a, b *Config) []string {
	before, after := a.values(), b.values()
	all := maps.Clone(before)
	maps.Copy(all, after)
	changed := map[string]bool{}
	for at := range all {
		x, was := before[at]
		y, is := after[at]
		if was && is && reflect.DeepEqual(x, y) {
			continue
		}
		if !was || !is { // name what holds it and is not there
			at = missing(at, before, after)
		}
		changed[at] = true
	}
	return slices.Sorted(maps.Keys(changed))
}

// values are those of all keys by their path, app aside, which is a key of the default pool.
func (c *Config) values() map[string]any {
	out := map[string]any{}
	walk(reflect.ValueOf(c).Elem(), "", func(at string, _ key, v reflect.Value) {
		if at != "app" {
			out[at] = v.Interface()
		}
	})
	return out
}

// missing is the shortest beginning of a path below which one of the two has nothing.
func missing(path string, before, after map[string]any) string {
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if prefix := path[:i+1]; !holds(before, prefix) || !holds(after, prefix) {
			return path[:i]
		}
	}
	return path
}

func holds(values map[string]any, prefix string) bool {
	for at := range values {
		if strings.HasPrefix(at, prefix) {
			return true
		}
	}
	return false
}
