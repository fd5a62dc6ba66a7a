package rig

import (
	"fmt"
	"slices"
	"strings"
)

// Choose reads a list of names, any case, and is whether a name is in it. An empty list holds all.
func Choose(list string, names []string) (func(string) bool, error) {
	picked := map[string]bool{}
	for word := range strings.SplitSeq(list, ",") {
		if list == "" {
			break
		}
		at := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, strings.TrimSpace(word)) })
		if at < 0 {
			return nil, fmt.Errorf("%q is none of %s", word, strings.Join(names, ", "))
		}
		picked[names[at]] = true
	}
	return func(name string) bool { return list == "" || picked[name] }, nil
}
