package control_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
)

// callRoutes calls the operations about routes. It tells whether the tail told of a request.
func (r *rig) callRoutes(call func(operation, path, body string, want int, headers ...string) answer) bool {
	t := r.t
	t.Helper()
	call("POST /v1/config/reload", "", "", 200)
	call("GET /v1/routes", "", "", 200)
	call("GET /v1/routes/test", "/v1/routes/test?method=GET&url=/jobs/1", "", 200)
	call("GET /v1/routes/test", "/v1/routes/test?method=GET&url=/nowhere", "", 200)
	call("GET /v1/routes/test", "/v1/routes/test?method=get+it&url=/nowhere", "", 400)
	call("GET /v1/routes/test", "/v1/routes/test?method=GET&url=/&header=x", "", 400)
	call("GET /v1/upstreams", "", "", 200)
	call("POST /v1/upstreams/{name}/replace", "/v1/upstreams/web/replace?timeout=1s", "", 200)
	call("POST /v1/upstreams/{name}/replace", "/v1/upstreams/nope/replace", "", 404)
	call("POST /v1/upstreams/{name}/replace", "/v1/upstreams/web/replace?timeout=x", "", 422)
	call("GET /v1/routes/tail", "/v1/routes/tail?status=9", "", 400)

	tail, err := http.Get(r.url + "/v1/routes/tail?status=404&route=none")
	must(t, err)
	defer tail.Body.Close()
	lines := bufio.NewScanner(tail.Body)
	seek := func(text string) bool {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return true
			}
		}
		return false
	}
	if !seek("event: open") {
		return false
	}
	answered, err := http.Get(r.public + "/nowhere?token=abc")
	must(t, err)
	_ = answered.Body.Close()
	return seek(`"path":"/nowhere","query":"token=***","status":404,"code":"HR1001"`)
}

func TestRouteIsExplained(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		c.Routes = []config.Route{
			{Match: "/a/{index}", Methods: []string{"GET"}, Call: "answer"},
			{Match: "/a/*", Methods: []string{"GET"}, Call: "count", Header: map[string]string{"X-Version": "2"}},
			{Match: "/u/*", Methods: []string{"GET"}, Call: "count"}, {Match: "/z/*", Methods: []string{"GET"}, Call: "count"},
		}
	})
	got := r.do("GET", "/v1/routes/test?method=GET&url=/a/b/c", "").json(t)
	if got["route"] != nil || got["code"] != "HR1001" {
		t.Error(got)
	}
	got = r.do("GET", "/v1/routes/test?method=GET&url=/a/b/c&header=X-Version:2", "").json(t)
	if route := got["route"].(map[string]any); route["target"] != "count" {
		t.Error(got)
	}
	if params := got["params"].([]any); len(params) != 1 || params[0] != "b/c" {
		t.Error(params)
	}
	for address, code := range map[string]string{"/z/%25252e/u/x": "", "/z/..%252fu/x": "HR4001", "/z/x%252f..%252f..%252fu/x?y": "HR4001", "http://a..b/z/x": "HR4002", "/z/x": ""} {
		got = r.do("GET", "/v1/routes/test?method=GET&url="+address, "").json(t)
		if text, _ := got["code"].(string); text != code {
			t.Error(address, got)
		}
	}
	if got = r.do("GET", "/v1/routes/test?method=TRACE&url=/z/x", "").json(t); got["code"] != "HR4011" {
		t.Error(got)
	}
}
