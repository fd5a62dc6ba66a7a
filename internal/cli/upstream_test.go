package cli

import (
	"net/http"
	"testing"
)

func TestUpstreamList(t *testing.T) {
	code, stdout, stderr := run(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"upstreams": [
			{"name": "crash", "why": "no process of crash is ready", "targets": [], "processes": [
				{"number": 1, "state": "starting", "restarts": 3, "trouble": "exit status 1; it printed:\nTraceback\n  x\nValueError: oh no"}, {"number": 2, "state": "starting"}]},
			{"name": "lost", "why": "lookup lost.test: no such host", "targets": []},
			{"name": "web", "targets": [{"name": "web/1", "state": "healthy", "weight": 1, "requests": 7}], "processes": [{"number": 1, "state": "ready", "restarts": 1, "trouble": "signal: killed"}]}]}`))
	}, "upstream", "list")
	want := "UPSTREAM  TARGET   STATE      SINCE  WEIGHT  BUSY  REQUESTS  FAILURES  WHY\n" +
		"crash     crash/1  starting   -      -       -     -         -         started again 3 times, the last time: exit status 1; it printed: … ValueError: oh no\n" +
		"crash     crash/2  starting   -      -       -     -         -         -\n" +
		"lost      -        no target  -      -       -     -         -         lookup lost.test: no such host\n" +
		"web       web/1    healthy    -      1       0     7         0         started again 1 times, the last time: signal: killed\n"
	if code != ExitOK || stdout != want || stderr != "" {
		t.Errorf("code %d, stderr %q, stdout:\n%s\nwant:\n%s", code, stderr, stdout, want)
	}
}
