package serverapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/control/serverapi"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/problem"
)

// FuzzRequests hands any body to any command. It is refused as a problem, or answered with a result or a published error, and the answer is JSON.
func FuzzRequests(f *testing.F) {
	names := append(serverapi.Commands(), "batch")
	slices.Sort(names)
	for i, body := range []string{`{}`, `{"channel":"a","data":1}`, `{"channels":["a","b:c"],"b64data":"eA=="}`, `{"user":"u","channel":"a","recover_since":{"offset":1,"epoch":"e"}}`,
		`{"commands":[{"publish":{"channel":"a","data":{}}},null,{"info":null}],"parallel":true}`, `{"user":"u","whitelist":["x"],"disconnect":{"code":3000}}`,
		`{"channel":"a","limit":-1,"since":null,"reverse":true}`, `null`, `[`, `{"user":"u","expire_at":-1}`, ``} {
		for n := range names {
			f.Add(byte(n+i), []byte(body))
		}
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c := config.DefaultLive()
	c.Channels = config.DefaultNamespace()
	l, err := live.Open(f.Context(), live.Deps{Config: c, Log: log})
	if err != nil {
		f.Fatal(err)
	}
	api := &serverapi.API{Live: l, Node: "n", Depth: 16, Log: log}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		name := names[int(which)%len(names)]
		var answer any
		var err error
		if name == "batch" {
			answer, err = api.Batch(t.Context(), body)
		} else {
			var one serverapi.Answer
			one, err = api.Do(t.Context(), name, body)
			if answer = one; err == nil && (one.Result == nil) == (one.Error == nil) {
				t.Fatalf("%s %s: result %v, error %v", name, body, one.Result, one.Error)
			}
			if one.Error != nil && (one.Error.Code < 100 || one.Error.Code > 112 || one.Error.Code == 100) {
				t.Fatalf("%s %s: %v", name, body, one.Error)
			}
		}
		if err != nil {
			if code := problem.From(err).Code; code != "HR2001" && code != "HR2010" && code != "HR3017" {
				t.Fatalf("%s %s: %v", name, body, err)
			}
			return
		}
		if text, err := json.Marshal(answer); err != nil || !json.Valid(text) {
			t.Fatalf("%s %s: %s %v", name, body, text, err)
		}
	})
}
