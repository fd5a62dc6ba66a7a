package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/identity"
)

// A tail shows each kind of event in one line that cannot move the cursor, and tells when the server ends it.
func TestLiveTail(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.String(); got != "/v1/live/tail?channel=chat%3A%2A&history=3" {
			t.Error(got)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: open\ndata: {\"channel\":\"chat:*\"}\n\n: keep-alive\n\n")
		fmt.Fprint(w, "event: publication\ndata: {\"channel\":\"chat:a\",\"offset\":7,\"user\":\"ann\",\"data\":{\"x\":\"\u009b2J\"}}\n\n")
		fmt.Fprint(w, "event: publication\ndata: {\"channel\":\"chat:b\",\"b64data\":\"AAE=\"}\n\n")
		fmt.Fprint(w, "event: join\ndata: {\"channel\":\"chat:a\",\"client\":\"c-1\",\"user\":\"ann\"}\n\nevent: leave\ndata: {\"channel\":\"chat:a\",\"client\":\"c-1\"}\n\n")
		fmt.Fprint(w, "event: missed\ndata: {\"count\":12}\n\n")
	}
	code, stdout, stderr := run(t, answer, "live", "tail", "chat:*", "--history", "3")
	want := "chat:a #7 ann: {\"x\":\" 2J\"}\nchat:b base64 AAE=\nchat:a join ann\nchat:a leave c-1\nmissed 12: more is published than can be shown\n"
	if code != ExitUnreachable || stdout != want || !strings.HasPrefix(stderr, "following chat:*; end with Ctrl-C\nerror[HR9006]: SERVER ended the stream: EOF\n") {
		t.Errorf("code %d, stderr %q, stdout:\n%s\nwant:\n%s", code, stderr, stdout, want)
	}
	code, stdout, stderr = run(t, answer, "live", "tail", "chat:*", "--history", "3", "--count", "2", "-o", "json")
	if code != ExitOK || strings.Count(stdout, "\n") != 2 || stderr != "" {
		t.Errorf("code %d, stderr %q, stdout:\n%s", code, stderr, stdout)
	}
	code, _, stderr = run(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "event: join\ndata: what\n\n") }, "live", "tail", "a")
	if code != ExitUnreachable || !strings.Contains(stderr, "told what, which is no event") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if code, _, stderr = run(t, nil, "live", "tail", "a", "--count", "-1"); code != ExitUsage || !strings.Contains(stderr, "HR9007") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

// Lists that were cut say so, and long ones stay in their line.
func TestLiveListsThatAreCut(t *testing.T) {
	code, stdout, stderr := run(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"connections":[{"client":"c","user":"","transport":"sse","protocol":"json","address":"","channels":["a","b","c","d","e"],"queued":2048}],"more":true}`)
	}, "live", "connections", "--limit", "1")
	if code != ExitOK || stdout != "CLIENT  USER  TRANSPORT  PROTOCOL  ADDRESS  CHANNELS  QUEUED\nc       -     sse        json      -        a b c +2  2KiB\n" ||
		stderr != "there are more; list them with: --limit 10\n" {
		t.Errorf("code %d, stderr %q, stdout:\n%s", code, stderr, stdout)
	}
	_, _, stderr = run(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"channels":[{"name":"a","subscribers":1}],"total":9}`)
	}, "live", "channels", "--limit", "1")
	if stderr != "1 of 9; more with: --limit 9\n" {
		t.Errorf("stderr %q", stderr)
	}
}

// A token verifies with the configuration that it was made with.
func TestLiveToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "live.yaml")
	if err := os.WriteFile(file, []byte("live:\n  token: {secret: of connections of this test of ours, issuer: me, audience: app}\n  subscription_token: {secret: of subscriptions of this test of ours}\n  channels: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		secret string
		o      identity.Options
		raw    string // what the claims hold
	}{
		{[]string{"--user", "ann"}, "of connections of this test of ours", identity.Options{Issuer: "me", Audience: "app"}, `"sub":"ann"`},
		{[]string{"--user", "", "--claims", `{"aud":["app","b"],"info":{"n":1}}`}, "of connections of this test of ours", identity.Options{Audience: "b"}, `"info":{"n":1}`},
		{[]string{"--user", "ann", "--channel", "room"}, "of subscriptions of this test of ours", identity.Options{}, `"channel":"room"`},
	} {
		code, stdout, stderr := run(t, nil, append([]string{"live", "token", "--config", file}, c.args...)...)
		if code != ExitOK {
			t.Fatalf("%v: code %d, %s", c.args, code, stderr)
		}
		c.o.Secret = []byte(c.secret)
		v, err := identity.New(c.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := v.Verify(strings.TrimSpace(stdout))
		if err != nil || !strings.Contains(string(claims.Raw), c.raw) || claims.Expires.IsZero() || claims.IssuedAt.IsZero() {
			t.Errorf("%v: %+v %v", c.args, claims, err)
		}
	}
}
