package cli

import (
	"fmt"
	"net/http"
	"testing"
)

func TestRouteTestTellsParametersAndRefusals(t *testing.T) {
	answer := `{"route":{"title":"orders","match":"/orders/{id}/*","action":"proxy","target":"web","place":"headrace.yaml:3:5"},"params":["7","a/b"],"considered":[]`
	for more, want := range map[string]struct {
		code   int
		stdout string
	}{
		`}`: {ExitOK, "orders: proxy web (headrace.yaml:3:5)\n  id: 7\n  *: a/b\n"},
		`,"code":"HR4001","reason":"it hides a segment"}`: {ExitFailed, "orders: proxy web (headrace.yaml:3:5)\n  refused: HR4001 it hides a segment\n  id: 7\n  *: a/b\n"},
	} {
		code, stdout, stderr := run(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, answer+more)
		}, "route", "test", "GET", "/orders/7/a/b")
		if code != want.code || stdout != want.stdout || stderr != "" {
			t.Errorf("code %d, stderr %q, stdout:\n%s", code, stderr, stdout)
		}
	}
}
