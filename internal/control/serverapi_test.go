package control_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
)

// A client that asks for it gets the status of an error, and the error alone.
func TestErrorsAsStatus(t *testing.T) {
	r := newLiveRig(t)
	for _, c := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"/api/publish", `{"channel":"room","data":1}`, 200, `{"result":{}}`},
		{"/api/publish", `{"data":1}`, 400, `{"code":107,"message":"bad request: no channel is named"}`},
		{"/api/publish", `{"channel":"nope:x","data":1}`, 404, `{"code":102,"message":"unknown channel: channel \"nope:x\": unknown channel"}`},
		{"/api/history", `{"channel":"room"}`, 400, `{"code":108,"message":"not available: room has no history"}`},
		{"/api/history", `{"channel":"chat:x","limit":1,"since":{"offset":1,"epoch":"x"}}`, 416, `{"code":112,"message":"unrecoverable position: the publications behind 1 of epoch \"x\" are not there"}`},
		{"/api/history", `{"channel":"chat:x","limit":1,"reverse":true,"since":{"offset":0,"epoch":"x"}}`, 400, `{"code":107,"message":"bad request: nothing is before the offset 0"}`},
		{"/api/rpc", `{"method":"nope"}`, 404, `{"code":104,"message":"not found: no function \"nope\""}`},
		{"/api/rpc", `{}`, 400, `{"code":107,"message":"bad request: no method is named"}`},
		{"/api/disconnect", `{"user":"a","label_filter":{"op":"eq"}}`, 400, `{"code":108,"message":"not available: connections have no labels, and are chosen by user, client or session"}`},
		{"/api/unsubscribe", `{"all_users":true,"channel":"room"}`, 400, `{"code":108,"message":"not available: connections have no labels, and are chosen by user, client or session"}`},
		{"/api/refresh", `{"user":"a","info":{}}`, 400, `{"code":108,"message":"not available: what is told of a connection does not change while it is open"}`},
		{"/api/refresh", `{"user":"a","expire_at":-1}`, 400, `{"code":107,"message":"bad request: expire_at is -1"}`},
		{"/api/subscribe", `{"user":"a","channel":"room","b64info":"?"}`, 400, `{"code":107,"message":"bad request: b64info is not base64"}`},
		{"/api/subscribe", `{"user":"a"}`, 400, `{"code":107,"message":"bad request: no channel is named"}`},
		{"/api/unsubscribe", `{"user":"a"}`, 400, `{"code":107,"message":"bad request: no channel is named"}`},
	} {
		if got := r.do("POST", c.path, c.body, "X-Centrifugo-Error-Mode", "transport"); got.status != c.status || got.body != c.answer {
			t.Errorf("%s %s: %v, want %d %s", c.path, c.body, got, c.status, c.answer)
		}
	}
}

// A client over SSE is chosen by the session of its connect reply, and by nothing that only looks like it.
func TestSessions(t *testing.T) {
	r := newLiveRig(t)
	token, err := identity.Sign([]byte(secret), map[string]any{"sub": "ann"})
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.door.Addr().String()+"/live/sse?cf_connect="+
		url.QueryEscape(`{"connect":{"token":"`+token+`"},"id":1}`), nil)
	must(t, err)
	got, err := http.DefaultClient.Do(request)
	must(t, err)
	defer got.Body.Close()
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(got.Body); s.Scan(); {
			if text, ok := strings.CutPrefix(s.Text(), "data: "); ok {
				lines <- text
			}
		}
	}()
	var welcome struct {
		Connect struct{ Client, Session string }
	}
	must(t, json.Unmarshal([]byte(next(t, lines)), &welcome))
	session := welcome.Connect.Session
	if len(session) != 64 {
		t.Fatal(welcome)
	}
	there := func() bool {
		return strings.Contains(r.do("GET", "/v1/live/connections", "").body, welcome.Connect.Client)
	}
	for _, body := range []string{
		`{"session":"` + session[:32] + strings.Repeat("0", 32) + `"}`,
		`{"session":"` + session[:62] + `"}`,
		`{"user":"bob","session":"` + session + `"}`,
		`{"client":"bob","session":"` + session + `"}`,
	} {
		if got := r.do("POST", "/api/disconnect", body); got.body != `{"result":{}}` || !there() {
			t.Fatalf("%s: %v", body, got)
		}
	}
	if got := r.do("POST", "/api/subscribe", `{"session":"`+session+`","channel":"chat:room"}`); got.body != `{"result":{}}` {
		t.Fatal(got)
	}
	if text := next(t, lines); !strings.Contains(text, `"subscribe":{`) {
		t.Error(text)
	}
	if got := r.do("POST", "/api/disconnect", `{"user":"ann","session":"`+session+`","disconnect":{"reason":"go"}}`); got.body != `{"result":{}}` {
		t.Fatal(got)
	}
	for text := range lines {
		if strings.Contains(text, `"disconnect":{"code":3503,"reason":"go"}`) {
			return
		}
	}
	t.Error("not disconnected")
}

// Subscriptions of the server keep to the limits of the namespace, and no command chooses everybody.
func TestLimitsOfSubscriptions(t *testing.T) {
	r := newLiveRig(t)
	ann, bob := r.connect("ann"), r.connect("bob")
	subscribe := func(body string) string { return r.do("POST", "/api/subscribe", body).body }
	if got := subscribe(`{"user":"ann","channel":"small:x","data":1}`); got != `{"result":{}}` {
		t.Fatal(got)
	}
	if got := next(t, ann.told); got != "subscribed small:x 1" {
		t.Error(got)
	}
	if got := subscribe(`{"user":"bob","channel":"small:x"}`); got != `{"error":{"code":106,"message":"limit exceeded"}}` {
		t.Error(got)
	}
	if got := subscribe(`{"user":"ann","channel":"small:x"}`); got != `{"result":{}}` { // it has its place
		t.Error(got)
	}
	second := r.connect("ann")
	if got := subscribe(`{"user":"ann","channel":"chat:x","data":"both"}`); got != `{"result":{}}` {
		t.Error(got)
	}
	for _, c := range []*client{ann, second} {
		if got := next(t, c.told); got != `subscribed chat:x "both"` {
			t.Error(got)
		}
	}
	if got := subscribe(`{"user":"bob","channel":"chat:x","expire_at":1}`); !strings.Contains(got, `"code":110`) {
		t.Error(got)
	}
	for _, body := range []string{`{}`, `{"user":""}`, `{"client":""}`, `{"session":""}`, `{"all_users":true}`} {
		if got := r.do("POST", "/api/disconnect", body); !strings.Contains(got.body, `"error"`) {
			t.Errorf("%s: %v", body, got)
		}
	}
	if got := r.do("POST", "/api/refresh", `{"user":"bob","expired":true}`); got.body != `{"result":{}}` {
		t.Error(got)
	}
	until(t, "the expired one comes back", func() bool {
		select {
		case id := <-bob.connected:
			return id != bob.id
		default:
			return false
		}
	})
	if got := r.do("GET", "/v1/live/connections?user=ann", ""); !strings.Contains(got.body, ann.id) {
		t.Error(got)
	}
}

// Pages of other sites cannot use the API of a node without a token, nor can anybody that of a node with one.
func TestAPIIsLocked(t *testing.T) {
	r := newLiveRig(t)
	if got := r.do("POST", "/api/info", "", "Origin", "https://evil.example"); got.code(t) != "HR7005" {
		t.Error(got)
	}
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600))
	r = newLiveRig(t, func(c *config.Config) { c.Admin.TokenFile = file })
	for _, path := range []string{"/api/publish", "/api/batch", "/v1/live/publish", "/v1/live/disconnect"} {
		if got := r.do("POST", path, "{}"); got.code(t) != "HR7001" {
			t.Errorf("%s: %v", path, got)
		}
		if got := r.do("POST", path, "{}", "X-API-Key", "0123456789abcdeF"); got.code(t) != "HR7001" {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, header := range []string{"X-API-Key: 0123456789abcdef", "Authorization: apikey 0123456789abcdef", "Authorization: APIKEY 0123456789abcdef", "Authorization: Bearer 0123456789abcdef"} {
		name, value, _ := strings.Cut(header, ": ")
		if got := r.do("POST", "/api/info", "", name, value); got.status != 200 {
			t.Errorf("%s: %v", header, got)
		}
	}
}

// A batch of many commands keeps their order, and those of a parallel one are all done.
func TestBatches(t *testing.T) {
	r := newLiveRig(t)
	const many = 500
	commands := strings.TrimSuffix(strings.Repeat(`{"publish":{"channel":"chat:b","data":1}},`, many), ",")
	for i, parallel := range []string{"false", "true"} {
		began := time.Now()
		got := r.do("POST", "/api/batch", `{"commands":[`+commands+`],"parallel":`+parallel+`}`)
		var told struct {
			Replies []struct{ Publish struct{ Offset int } }
		}
		must(t, json.Unmarshal([]byte(got.body), &told))
		seen := map[int]bool{}
		for n, reply := range told.Replies {
			seen[reply.Publish.Offset] = true
			if i == 0 && reply.Publish.Offset != n+1 {
				t.Fatalf("reply %d: %v", n, reply)
			}
		}
		if len(seen) != many || seen[0] {
			t.Errorf("parallel %s: %d of %d", parallel, len(seen), many)
		}
		t.Logf("parallel %s: %v", parallel, time.Since(began))
	}
}
