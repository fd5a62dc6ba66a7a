package control_test

import (
	"strings"
	"testing"
)

// callKeys calls the operations on API keys.
func (r *rig) callKeys(call func(operation, path, body string, want int, headers ...string) answer) {
	made := call("POST /v1/keys", "", `{"owner":"ann","name":"ci","scopes":["read"],"routes":["/orders*"],"quota":"1000/h","expires":"90d","metadata":{"plan":"gold"}}`, 201)
	id := made.json(r.t)["id"].(string)
	text := made.json(r.t)["key"].(string)
	if made.header.Get("Location") != "/v1/keys/"+id || !strings.HasPrefix(text, "hr_"+id+"_") || made.header.Get("Cache-Control") != "no-store" {
		r.t.Error(made, made.header)
	}
	key, _, err := r.keys.Find([]byte(text))
	must(r.t, err)
	_, err = r.keys.Count(key)
	must(r.t, err)
	call("POST /v1/keys", "", `{"owner":"bob","expires":"2099-01-01T00:00:00+01:00"}`, 201)
	for _, bad := range []string{`{}`, `{"owner":"a","quota":"many"}`, `{"owner":"a","expires":"soon"}`, `{"owner":"a","expires":"2001-01-01T00:00:00Z"}`, `{"owner":"a","secret":"x"}`} {
		if got := call("POST /v1/keys", "", bad, 400); got.code(r.t) != "HR4061" {
			r.t.Error(bad, got)
		}
	}
	call("POST /v1/keys", "", `x`, 400)
	call("GET /v1/keys", "", "", 200)
	if got := call("GET /v1/keys", "/v1/keys?owner=ann", "", 200); !strings.Contains(got.body, id) || strings.Contains(got.body, `"bob"`) || strings.Contains(got.body, text) {
		r.t.Error(got)
	}
	call("GET /v1/keys", "/v1/keys?name=x", "", 400)
	if got := call("GET /v1/keys/{id}", "/v1/keys/"+id, "", 200).json(r.t); got["count"] != 1.0 || got["used"] == nil || got["quota"] != "1000/h" || got["key"] != nil {
		r.t.Error(got)
	}
	call("DELETE /v1/keys/{id}", "/v1/keys/"+id, "", 204)
	call("DELETE /v1/keys/{id}", "/v1/keys/"+id, "", 404)
	call("GET /v1/keys/{id}", "/v1/keys/"+id, "", 404)
	if _, _, err := r.keys.Find([]byte(text)); err == nil {
		r.t.Error("a revoked key is taken")
	}
}

// A body of another kind, as a form of a page of another site sends it, makes no key.
func TestKeysTakeJSONOnly(t *testing.T) {
	r := newRig(t)
	if got := r.do("POST", "/v1/keys", `{"owner":"ann"}`, "Content-Type", "text/plain"); got.code(t) != "HR1008" {
		t.Error(got)
	}
	if len(r.keys.List("")) != 0 {
		t.Error("a key was made")
	}
}
