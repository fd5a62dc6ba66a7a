package live

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/centrifuge-go"
)

// TestRPC: a function that a client calls learns who calls, and says in its own words and codes why it refuses.
func TestRPC(t *testing.T) {
	t.Parallel()
	s := start(t, strings.Replace(strings.Replace(defaults, "rpc: [greet]", "rpc: [whoami, refuse, refuse_some]", 1), "\n  token:", "\n  anonymous: true\n  token:", 1))
	for _, protobuf := range []bool{false, true} {
		ann := enter(t, s.url("/websocket"), protobuf, "ann", claims{"roles": []string{"clerk"}})
		who, err := ann.RPC(t.Context(), "whoami", nil)
		if text := compact(who.Data); err != nil || !strings.HasPrefix(text, `{"user":"ann","method":"jwt","claims":{`) || !strings.Contains(text, `"roles":["clerk"]`) {
			t.Errorf("%s, %v", text, err)
		}
		nobody := dial(t, s.url("/websocket"), protobuf, centrifuge.Config{})
		recv(t, nobody.connected, "anonymous connected")
		if who, err := nobody.RPC(t.Context(), "whoami", nil); err != nil || compact(who.Data) != `{"user":"","method":"","claims":{}}` {
			t.Errorf("%s, %v", who.Data, err)
		}
		for _, c := range []struct {
			function, args string
			code           uint32
			message        string
		}{
			{"refuse", `{"how":"deny"}`, 1007, "not today"}, {"refuse", `{"how":"fail"}`, 107, "no such order"}, {"refuse", `{"how":"bug"}`, 100, ""},
			{"refuse_some", `{"n":1}`, 1008, "odd"}, {"refuse_some", `{"n":2}`, 0, ""},
		} {
			_, err := ann.RPC(t.Context(), c.function, []byte(c.args))
			if code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.message) {
				t.Errorf("%s(%s): %v", c.function, c.args, err)
			}
		}
		_, _ = ann.RPC(t.Context(), "refuse", []byte(`{"how":"disconnect"}`))
		if over := recv(t, ann.disconnected, "ended by the function"); over.Code != 4507 || over.Reason != "go away" {
			t.Errorf("%+v", over)
		}
	}
	response, err := http.Post("http://"+s.public+"/refuse", "application/json", strings.NewReader(`{"how":"deny"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != 403 || !strings.Contains(string(text), "HR2020") || !strings.Contains(string(text), "not today") {
		t.Errorf("over HTTP: %s %s", response.Status, text)
	}
}
