package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// run is one command line against a server that answers with the bytes of the contract. The real server is used in test/script.
func run(t *testing.T, answer http.HandlerFunc, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, talk bytes.Buffer
	code = Main(ctx, Env{
		Args: append([]string{"--server", server.URL}, args...), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &talk,
		Dir: t.TempDir(), Version: "test",
	})
	return code, out.String(), strings.ReplaceAll(talk.String(), server.URL, "SERVER")
}

func TestTailGoesOnAfterTheLastEvent(t *testing.T) {
	var resumed []string
	code, stdout, stderr := run(t, func(w http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		if len(resumed) == 1 {
			fmt.Fprint(w, ": hello\n\nevent: state\nid: 1\ndata: {\"state\":\"running\",\"worker\":\"w-1\"}\n\n")
			fmt.Fprint(w, "event: progress\nid: 2\ndata: {\"done\":1,\"total\":4,\"note\":\"one\"}\n\nevent: log\nid: 3\ndata: {\"lev")
			return // in the middle of an event
		}
		fmt.Fprint(w, "event: log\nid: 3\ndata: {\"level\":\"info\",\"text\":\"a\\nb\\u001b[2J\"}\n\nevent: chunk\nid: 4\ndata: [1,\ndata: 2]\n\n")
		fmt.Fprint(w, "event: state\nid: 5\ndata: {\"state\":\"dead\",\"error\":\"ValueError: no\"}\n\n")
	}, "job", "tail", "j1")
	want := "state     running w-1\nprogress  25% one\nlog       info: a\nlog       b [2J\nchunk     [1,\nchunk     2]\nstate     dead ValueError: no\n"
	if code != ExitJobFailed || stdout != want || stderr != "" {
		t.Errorf("code %d, stderr %q, stdout:\n%s\nwant:\n%s", code, stderr, stdout, want)
	}
	if len(resumed) != 2 || resumed[1] != "2" {
		t.Errorf("connections began after %q", resumed)
	}
}

func TestTailAsJSON(t *testing.T) {
	code, stdout, _ := run(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "event: state\nid: 1\ndata: {\"state\":\"succeeded\"}\n\n")
	}, "job", "tail", "j1", "-o", "json")
	if want := `{"data":{"state":"succeeded"},"event":"state","id":"1"}` + "\n"; code != ExitOK || stdout != want {
		t.Errorf("code %d, stdout %s", code, stdout)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   int
		stderr string
	}{
		"problem": {
			404, `{"type":"about:blank","title":"unknown job","status":404,"code":"HR2007","detail":"there is no job j1","where":"j1","hint":"look"}`,
			ExitFailed, "error[HR2007]: there is no job j1\n  at: j1\nhint: look\n",
		},
		"problem of a newer server": {
			400, `{"code":"HR2999","title":"new kind"}`,
			ExitFailed, "error[HR2999]: new kind\nhint: use the headrace of the server's version\n",
		},
		"another server": {
			502, `<html>`,
			ExitUnreachable, "error[HR9006]: SERVER answered 502 Bad Gateway, which is not an answer of headrace\nhint: set --server to the address of admin.listen\n",
		},
		"no JSON": {
			200, `<html>`,
			ExitUnreachable, "error[HR9006]: SERVER answered with something else than JSON\nhint: set --server to the address of admin.listen\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := run(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}, "job", "get", "j1")
			if code != c.code || stderr != c.stderr {
				t.Errorf("code %d, stderr:\n%s\nwant code %d:\n%s", code, stderr, c.code, c.stderr)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	for want, args := range map[string][]string{
		`POST /v1/jobs/a%2Fb?delay=5m&tags=x%2Cy {"to":1}`:             {"job", "enqueue", "a/b", `{"to":1}`, "--delay", "5m", "--tags", "x,y"},
		`POST /v1/jobs/f?retries=0&run_at=2030-01-31T06%3A00%3A00Z {}`: {"job", "enqueue", "f", "--retries", "0", "--run-at", "2030-01-31T06:00:00Z"},
		`GET /v1/jobs?limit=5&state=dead%2Crunning `:                   {"job", "list", "--state", "dead,running", "--limit", "5"},
		`GET /v1/jobs/j1/result `:                                      {"job", "get", "j1", "--show", "result"},
		`POST /v1/jobs/j1/cancel `:                                     {"job", "cancel", "j1"},
		`POST /v1/jobs/retry?function=f&limit=1000&state=dead `:        {"job", "retry", "--state", "dead", "--function", "f"},
		`POST /v1/queues/mail/pause `:                                  {"queue", "pause", "mail"},
		`POST /v1/pools/default/restart `:                              {"pool", "restart", "default"},
		`PUT /v1/blobs?name=x.csv `:                                    {"blob", "put", "-", "--name", "x.csv"},
		`POST /v1/calls/hello?timeout=1s {"name":"x"}`:                 {"function", "call", "hello", `{"name":"x"}`, "--timeout", "1s"},
		`GET /v1/functions `:                                           {"function", "list"},
	} {
		var got string
		code, _, stderr := run(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = r.Method + " " + r.URL.RequestURI() + " " + string(body)
			_, _ = io.WriteString(w, "{}")
		}, args...)
		if code != ExitOK || got != want {
			t.Errorf("code %d, got  %s\n        want %s\n%s", code, got, want, stderr)
		}
	}
}

func TestEnqueueAnswers(t *testing.T) {
	for body, want := range map[string]struct {
		code           int
		stdout, stderr string
	}{
		`{"id":"j1","state":"ready","durability":"fsync"}`:    {ExitOK, "j1\n", "ready, fsync; follow it with: headrace job tail j1\n"},
		`{"id":"j1","state":"succeeded","result":{"n":1}}`:    {ExitOK, "{\"n\":1}\n", ""},
		`{"id":"j1","state":"succeeded"}`:                     {ExitOK, "j1\n", "succeeded\n"},
		`{"id":"j1","state":"dead","error":"ValueError: no"}`: {ExitJobFailed, "j1\n", "dead ValueError: no\n"},
	} {
		code, stdout, stderr := run(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }, "job", "enqueue", "f")
		if code != want.code || stdout != want.stdout || stderr != want.stderr {
			t.Errorf("%s: code %d, %q, %q", body, code, stdout, stderr)
		}
	}
}

func TestPoolAndQueueTables(t *testing.T) {
	_, stdout, _ := run(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"pools":[{"name":"default","healthy":true,"workers":[{"name":"default-1","pid":42,"state":"busy","running":2,
			"memory":52428800,"tasks":7,"started":%q}]},{"name":"ml","healthy":false,"workers":[]}]}`, time.Now().Add(-61*time.Second).Format(time.RFC3339Nano))
	}, "pool", "list")
	want := "POOL     HEALTH     WORKER     PID  STATE  RUNNING  DONE  MEMORY  AGE\n" +
		"default  healthy    default-1  42   busy   2        7     50MiB   1m\n" +
		"ml       unhealthy  -          -    -      -        -     -       -\n"
	if stdout != want {
		t.Errorf("got:\n%s\nwant:\n%s", stdout, want)
	}
	_, stdout, _ = run(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"queues":[{"name":"default","ready":3,"running":2,"scheduled":1,"waiting":0,"paused":true}]}`)
	}, "queue", "list")
	if want := "NAME     STATE   READY  RUNNING  SCHEDULED  WAITING\ndefault  paused  3      2        1          0\n"; stdout != want {
		t.Errorf("got:\n%s", stdout)
	}
}

func TestBlobs(t *testing.T) {
	code, stdout, stderr := run(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"$blob":"sha256:ab","size":0,"type":%q,"name":"x.csv"}`, r.Header.Get("Content-Type"))
	}, "blob", "put", "-", "--name", "x.json")
	if code != ExitOK || stdout != "sha256:ab\n" || stderr != "0 bytes stored\n" {
		t.Errorf("put: %d, %q, %q", code, stdout, stderr)
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a,b\n") }
	if code, stdout, _ := run(t, answer, "blob", "get", "sha256:ab"); code != ExitOK || stdout != "a,b\n" {
		t.Errorf("get: %d, %q", code, stdout)
	}
	to := t.TempDir() + "/x.csv"
	for _, want := range []int{ExitOK, ExitUsage} { // the second time the file is there
		if code, _, stderr := run(t, answer, "blob", "get", "sha256:ab", "--to", to); code != want {
			t.Errorf("get to a file: %d, %s", code, stderr)
		}
	}
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "a,b\n")
	}
	to = t.TempDir() + "/half.csv"
	if code, _, stderr := run(t, broken, "blob", "get", "sha256:ab", "--to", to); code != ExitUnreachable || !strings.Contains(stderr, "broke off") {
		t.Errorf("broken: %d, %s", code, stderr)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("half a blob is left")
	}
}

func TestTokenIsSent(t *testing.T) {
	file := t.TempDir() + "/token"
	if err := os.WriteFile(file, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got string
	run(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, "{}")
	}, "job", "list", "--token-file", file)
	if got != "Bearer t0ken" {
		t.Errorf("got %q", got)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	defer server.Close()
	var talk bytes.Buffer
	code := Main(ctx, Env{Args: []string{"job", "tail", "j1", "--server", server.URL}, Stdout: io.Discard, Stderr: &talk, Dir: t.TempDir()})
	if code != ExitInterrupted || talk.Len() > 0 {
		t.Errorf("code %d, %s", code, &talk)
	}
}

func TestJobTable(t *testing.T) {
	code, stdout, stderr := run(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"jobs":[{"id":"j1","function":"count","queue":"default","state":"running","attempt":1,"created":%q,"progress":{"done":3,"total":4}},
			{"id":"j2","function":"count","queue":"default","state":"dead","attempt":4,"created":%q,"error":"ValueError: \u001b[31m"}],"cursor":"c2"}`,
			time.Now().Add(-90*time.Second).Format(time.RFC3339), time.Now().Add(-3*time.Hour).Format(time.RFC3339))
	}, "job", "list")
	want := "ID  STATE    FUNCTION  QUEUE    ATTEMPT  AGE  NOTE\n" +
		"j1  running  count     default  1        1m   75%\n" +
		"j2  dead     count     default  4        3h   ValueError:  [31m\n"
	if code != ExitOK || stdout != want || stderr != "more with: --cursor c2\n" {
		t.Errorf("code %d\n%s\n%s", code, stdout, stderr)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("event: state\nid: 1\ndata: {}\n\n")
	f.Add(":\n\ndata\n\ndata: a\ndata: b\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		_ = readEvents(strings.NewReader(text), func(e event) error {
			if e.data == "" {
				t.Error("an event without data")
			}
			return nil
		})
	})
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 37: "37B", 1023: "1023B", 1024: "1KiB", 2000: "1KiB", 5<<20 + 1: "5MiB", 12<<20 + 9000: "12MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, not %s", n, got, want)
		}
	}
}
