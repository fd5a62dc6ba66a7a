package config_test

import (
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/config"
)

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want []string
	}{
		{"", "", nil},
		{"log: {level: info}", "", nil},
		{"log: {level: debug}\nserver: {listen: ':1'}", "server: {listen: ':2'}", []string{"log.level", "server.listen"}},
		{"", "live:", []string{"live"}},
		{"live:", "", []string{"live"}},
		{"live:", "live: {channels: }", []string{"live.channels"}},
		{"live: {namespaces: {a: , b: }}", "live: {namespaces: {b: {presence: true}, c: }}", []string{"live.namespaces.a", "live.namespaces.b.presence", "live.namespaces.c"}},
		{"live: {rpc: [a]}", "live: {rpc: [b]}", []string{"live.rpc"}},
		{"app: a.py", "app: b.py", []string{"pools.default.app"}},
		{"app: a.py", "app: a.py\npools: {web: {app: b.py}, default: {env: {A: b}}}", []string{"pools.default.env", "pools.web"}},
		{"routes: [{match: /a, job: a}]", "routes: [{match: /a, job: b}]", []string{"routes"}},
		{"queues: {a: {retries: 1}}", "queues: {a: {retries: 2}}", []string{"queues.a.retries"}},
	} {
		a, err := config.Load([]string{write(t, c.a)}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		// in the same folder, so that paths are the same
		b, err := config.Load([]string{write(t, c.b)}, nil, map[string]string{"engine.data": a.Engine.Data})
		if err != nil {
			t.Fatal(err)
		}
		if p := b.Pools["default"]; p != nil && a.Pools["default"] != nil && c.want != nil && !slices.Contains(c.want, "pools.default.app") {
			p.App = a.Pools["default"].App
		}
		if got := config.Changes(a, b); !slices.Equal(got, c.want) {
			t.Errorf("%q to %q: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
