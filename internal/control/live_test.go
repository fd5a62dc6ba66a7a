package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// callLive calls the operations of the live plane, and tells whether the one that does not end began well.
func (r *rig) callLive(call func(operation, path, body string, want int, headers ...string) answer) (tails bool) {
	t := r.t
	c := r.connect("ann")
	room := c.subscribe("chat:room")
	call("GET /v1/live/channels", "/v1/live/channels?pattern=chat:*&limit=1", "", 200)
	call("GET /v1/live/channels", "/v1/live/channels?limit=0", "", 400)
	call("GET /v1/live/connections", "/v1/live/connections?user=ann", "", 200)
	call("GET /v1/live/connections", "/v1/live/connections?users=ann", "", 400)
	call("POST /v1/live/publish", "", `{"channel":"chat:room","data":{"n":1}}`, 200)
	call("POST /v1/live/publish", "", `{"channel":"room","data":1}`, 200)
	call("POST /v1/live/publish", "", `{"channel":"nope:room","data":1}`, 404)
	if got := next(t, room); got != `{"n":1}` {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", r.url+"/v1/live/tail?channel=chat:room", nil)
	must(t, err)
	got, err := http.DefaultClient.Do(request)
	must(t, err)
	tails = got.StatusCode == 200 && got.Header.Get("Content-Type") == "text/event-stream"
	cancel()
	got.Body.Close()
	call("GET /v1/live/tail", "/v1/live/tail?channel=nope:room", "", 404)

	call("POST /api/publish", "", `{"channel":"chat:room","data":[1, 2],"tags":{"a":"b"}}`, 200)
	call("POST /api/publish", "", `{"channel":"room","data":null}`, 200)
	call("POST /api/publish", "", `{"channel":"nope:room","data":1}`, 200)
	call("POST /api/publish", "", `[]`, 400)
	call("POST /api/broadcast", "", `{"channels":["chat:room","nope:x","room"],"data":1}`, 200)
	call("POST /api/subscribe", "", `{"user":"ann","channel":"chat:two","data":{"why":1}}`, 200)
	call("POST /api/unsubscribe", "", `{"user":"ann","channel":"chat:two"}`, 200)
	call("POST /api/refresh", "", `{"user":"ann","expire_at":`+fmt.Sprint(time.Now().Add(time.Hour).Unix())+`}`, 200)
	call("POST /api/presence", "", `{"channel":"chat:room"}`, 200)
	call("POST /api/presence", "", `{"channel":"room"}`, 200)
	call("POST /api/presence_stats", "", `{"channel":"chat:room"}`, 200)
	call("POST /api/history", "", `{"channel":"chat:room","limit":-1}`, 200)
	call("POST /api/history", "", `{"channel":"chat:room","limit":1,"since":{"offset":1,"epoch":"x"}}`, 200)
	call("POST /api/channels", "", `{}`, 200)
	call("POST /api/info", "", ``, 200)
	call("POST /api/rpc", "", `{"method":"answer","params":{"index":7}}`, 200)
	call("POST /api/rpc", "", `{"method":"nope","params":{}}`, 200)
	call("POST /api/rpc", "", `{"method":"answer","params":{"index":"x"}}`, 200)
	call("POST /api/batch", "", `{"commands":[{"publish":{"channel":"room","data":1}},{"nope":{}},{},{"info":{}}],"parallel":true}`, 200)
	call("POST /api/history_remove", "", `{"channel":"chat:room"}`, 200)
	call("POST /api/disconnect", "", `{"user":"bob"}`, 200)
	call("POST /v1/live/disconnect", "", `{"user":"ann","code":4500,"reason":"enough"}`, 200)
	call("POST /v1/live/disconnect", "", `{}`, 400)
	if e := next(t, c.ended); e.Code != 4500 || e.Reason != "enough" {
		t.Error(e)
	}
	return tails
}

// A tail tells what is kept, then what comes, each once and in order, whether anybody is subscribed or not.
func TestTail(t *testing.T) {
	r := newLiveRig(t)
	for n := range 3 {
		must(t, r.publish("chat:room", n))
	}
	next, stop := r.follow("/v1/live/tail?channel=chat:room&history=2")
	defer stop()
	want := func(kind, data string) {
		t.Helper()
		e, ok := next()
		var got map[string]any
		if !ok || json.Unmarshal([]byte(e.data), &got) != nil {
			t.Fatalf("got %v", e)
		}
		if at, ok := got["at"].(string); ok {
			if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
				t.Error(err)
			}
			delete(got, "at")
		}
		delete(got, "client")
		text, _ := json.Marshal(got)
		if e.kind != kind || string(text) != data {
			t.Fatalf("got %s %s, want %s %s", e.kind, text, kind, data)
		}
	}
	want("open", `{"channel":"chat:room"}`)
	want("publication", `{"channel":"chat:room","data":1,"offset":2}`)
	want("publication", `{"channel":"chat:room","data":2,"offset":3}`)
	must(t, r.publish("chat:other", 9))
	must(t, r.publish("chat:room", 3))
	want("publication", `{"channel":"chat:room","data":3,"offset":4}`)
	c := r.connect("ann")
	c.subscribe("chat:room")
	want("join", `{"channel":"chat:room","info":{"name":"ann"},"user":"ann"}`)
	c.Close()
	want("leave", `{"channel":"chat:room","info":{"name":"ann"},"user":"ann"}`)
	if got := r.do("POST", "/api/history_remove", `{"channel":"chat:room"}`); got.body != `{"result":{}}` {
		t.Error(got)
	}
	must(t, r.publish("chat:room", 4))
	want("publication", `{"channel":"chat:room","data":4,"offset":1}`)
}

// publish hands in a publication through the API.
func (r *rig) publish(channel string, n int) error {
	got := r.do("POST", "/v1/live/publish", fmt.Sprintf(`{"channel":%q,"data":%d}`, channel, n))
	if got.status != 200 {
		return fmt.Errorf("%v", got)
	}
	return nil
}

func TestTailOfManyChannels(t *testing.T) {
	r := newLiveRig(t)
	next, stop := r.follow("/v1/live/tail?channel=chat:*")
	defer stop()
	if e, ok := next(); !ok || e.kind != "open" {
		t.Fatal(e)
	}
	must(t, r.publish("room", 1))
	must(t, r.publish("chat:a", 2))
	must(t, r.publish("chat:b", 3))
	for _, want := range []string{`"channel":"chat:a"`, `"channel":"chat:b"`} {
		if e, ok := next(); !ok || !strings.Contains(e.data, want) {
			t.Errorf("got %v, want %s", e, want)
		}
	}
}

// What cannot be done is refused with its code, and nothing is done.
func TestLiveRefusals(t *testing.T) {
	r := newLiveRig(t, func(c *config.Config) { c.Server.MaxJSON = config.MiB })
	c := r.connect("ann")
	room := c.subscribe("chat:room")
	for _, bad := range []struct {
		method, path, body string
		code               string
	}{
		{"POST", "/v1/live/publish", ``, "HR2001"},
		{"POST", "/v1/live/publish", `{"channel":"chat:room","data":`, "HR2001"},
		{"POST", "/v1/live/publish", `{"channel":"chat:room","data":1,"data":2}`, "HR2001"},
		{"POST", "/v1/live/publish", `{"channel":"chat:room","data":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "HR2010"},
		{"POST", "/v1/live/publish", `{"channel":"chat:room","data":1,"ttl":5}`, "HR3019"},
		{"POST", "/v1/live/publish", `{"channel":7,"data":1}`, "HR3019"},
		{"POST", "/v1/live/publish", `[]`, "HR3019"},
		{"POST", "/v1/live/publish", `{"channel":"","data":1}`, "HR3010"},
		{"POST", "/v1/live/publish", `{"channel":"chat:room"}`, "HR3011"},
		{"POST", "/v1/live/publish", `{"channel":"small:room","data":"0123456789"}`, "HR3011"},
		{"POST", "/v1/live/publish", `{"channel":"chat:` + strings.Repeat("x", 300) + `","data":1}`, "HR3010"},
		{"POST", "/v1/live/disconnect", `{"user":""}`, "HR3019"},
		{"POST", "/v1/live/disconnect", `{"user":"ann","code":200}`, "HR3019"},
		{"POST", "/v1/live/disconnect", `{"user":"ann","code":5000}`, "HR3019"},
		{"POST", "/v1/live/disconnect", `{"user":"ann","reason":"` + strings.Repeat("x", 124) + `"}`, "HR3019"},
		{"GET", "/v1/live/connections?limit=10001", ``, "HR2019"},
		{"GET", "/v1/live/channels?limit=x", ``, "HR2019"},
		{"GET", "/v1/live/channels?name=x", ``, "HR2019"},
		{"GET", "/v1/live/tail", ``, "HR2019"},
		{"GET", "/v1/live/tail?channel=room&history=5", ``, "HR3015"},
		{"GET", "/v1/live/tail?channel=chat:*&history=5", ``, "HR2019"},
		{"GET", "/v1/live/tail?channel=chat:room&history=1001", ``, "HR2019"},
		{"GET", "/v1/live/publish", ``, "HR7003"},
		{"POST", "/api/publish", `{"channel":`, "HR2001"},
		{"POST", "/api/publish", `{"channel":["chat:room"],"data":1}`, "HR3017"},
		{"POST", "/api/publish", `{"channel":"chat:room","data":1,"version":-1}`, "HR3017"},
		{"POST", "/api/publish", `"chat:room"`, "HR3017"},
		{"POST", "/api/disconnect", `{"user":["ann"]}`, "HR3017"},
		{"POST", "/api/nope", `{}`, "HR7002"},
		{"POST", "/api/batch", `{"commands":[{"publish":{"channel":"chat:room","data":1}},{"publish":{"channel":1}}]}`, "HR3017"},
		{"POST", "/api/batch", `{"commands":[{"publish":{"channel":"chat:room","data":1},"disconnect":{"user":"ann"}}]}`, "HR3017"},
	} {
		if got := r.do(bad.method, bad.path, bad.body); got.code(t) != bad.code {
			t.Errorf("%s %s %.80s: %v, want %s", bad.method, bad.path, bad.body, got, bad.code)
		}
	}
	if got := r.do("POST", "/api/publish", `{"channel":"chat:room","data":1}`, "Content-Type", "text/plain"); got.code(t) != "HR1008" {
		t.Error(got)
	}
	if got := r.do("POST", "/api/publish", `{"channel":"chat:room","data":"`+strings.Repeat("x", 1<<20)+`"}`); got.code(t) != "HR1003" {
		t.Error(got)
	}
	must(t, r.publish("chat:room", 1))
	if got := next(t, room); got != "1" {
		t.Errorf("something that was refused was published: %s", got)
	}
	if got := r.do("GET", "/v1/live/connections", "").json(t)["connections"].([]any); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestLiveIsOff(t *testing.T) {
	r := newLiveRig(t, func(c *config.Config) { c.Live = nil })
	for _, one := range []string{"GET /v1/live/channels", "GET /v1/live/connections", "GET /v1/live/tail", "POST /v1/live/publish", "POST /v1/live/disconnect",
		"POST /api/publish", "POST /api/batch"} {
		method, path, _ := strings.Cut(one, " ")
		if got := r.do(method, path, ""); got.code(t) != "HR3018" {
			t.Errorf("%s: %v", one, got)
		}
	}
}

// A tail that nobody ends is ended when the listener stops.
func TestTailEndsWithTheServer(t *testing.T) {
	r := newLiveRig(t)
	next, stop := r.follow("/v1/live/tail?channel=room")
	defer stop()
	if e, ok := next(); !ok || e.kind != "open" {
		t.Fatal(e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, r.control.Stop(ctx))
	if e, ok := next(); ok {
		t.Errorf("got %v after the end", e)
	}
}
