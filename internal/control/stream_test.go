package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// event is a server-sent event.
type event struct {
	id         int
	kind, data string
}

// follow opens a stream of events. next returns false at its end.
func (r *rig) follow(path string, headers ...string) (next func() (event, bool), stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	request, err := http.NewRequestWithContext(ctx, "GET", r.url+path, nil)
	must(r.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(request)
	must(r.t, err)
	if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatal(got.Status, got.Header)
	}
	lines := bufio.NewScanner(got.Body)
	return func() (e event, ok bool) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id, _ = strconv.Atoi(value)
			case "event":
				e.kind = value
			case "data":
				e.data += value
			case "":
				if e.kind != "" {
					return e, true
				}
			}
		}
		return e, false
	}, func() { cancel(); got.Body.Close() }
}

func TestEventsResume(t *testing.T) {
	r := newRig(t)
	gate := filepath.Join(r.dir, "gate")
	id := r.enqueue("/v1/jobs/story", `{"path":"`+gate+`"}`)
	path := "/v1/jobs/" + id + "/events"
	next, stop := r.follow(path)
	var all []event
	for len(all) == 0 || all[len(all)-1].kind != "progress" { // while the job runs
		e, ok := next()
		if !ok {
			t.Fatal("ended early:", all)
		}
		all = append(all, e)
	}
	stop()
	next, stop = r.follow(path, "Last-Event-ID", strconv.Itoa(all[len(all)-1].id))
	must(t, os.WriteFile(gate, nil, 0o600))
	for e, ok := next(); ok; e, ok = next() {
		all = append(all, e)
	}
	stop()
	for i, e := range all {
		if e.id != i+1 || !json.Valid([]byte(e.data)) {
			t.Errorf("event %d is %+v", i+1, e)
		}
	}
	if last := all[len(all)-1]; last.kind != "state" || !strings.Contains(last.data, "succeeded") {
		t.Error(last)
	}
	// From every place of the history the rest comes the same way, from the journal or the index.
	for n := range all {
		next, stop := r.follow(path + "?after=" + strconv.Itoa(n))
		for _, want := range all[n:] {
			if e, ok := next(); !ok || e != want {
				t.Fatalf("after %d: %+v, want %+v", n, e, want)
			}
		}
		if e, ok := next(); ok {
			t.Fatalf("after %d: one more %+v", n, e)
		}
		stop()
	}
	if got := r.do("GET", path, "", "Last-Event-ID", strconv.Itoa(len(all))); got.status != 204 {
		t.Error(got)
	}
}

func TestChunksOfAJob(t *testing.T) {
	r := newRig(t)
	next, stop := r.follow("/v1/jobs/" + r.enqueue("/v1/jobs/chunks", `{"n":3}`) + "/events")
	defer stop()
	var chunks []string
	for e, ok := next(); ok; e, ok = next() {
		if e.kind == "chunk" {
			chunks = append(chunks, e.data)
		}
	}
	if fmt.Sprint(chunks) != "[0 1 2]" {
		t.Error(chunks)
	}
}

// A stream whose client went away ends although its job tells nothing more.
func TestEventsClientGone(t *testing.T) {
	r := newRig(t)
	before := runtime.NumGoroutine()
	id := r.enqueue("/v1/jobs/hold", "{}")
	var stops []func()
	for range 5 {
		next, stop := r.follow("/v1/jobs/" + id + "/events")
		if _, ok := next(); !ok {
			t.Fatal("no event")
		}
		stops = append(stops, stop)
	}
	for _, stop := range stops {
		stop()
	}
	http.DefaultClient.CloseIdleConnections()
	until(t, "the streams have ended", func() bool { return runtime.NumGoroutine() <= before+3 })
	r.do("POST", "/v1/jobs/"+id+"/cancel", "")
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	for path, want := range map[string]string{
		`answer {"index":7}`: "200 7", `answer {}`: "200 0", `answer `: "200 0", `double {"value":4}`: "200 8",
		`count {"n":2}`: "200 {\"i\":0}\n{\"i\":1}\n", `count {"n":0}`: "200 ",
		`slow {}`: "504 HR2013", `answer?timeout=0s {}`: "200 0", `wrong {}`: "500 HR2015", `dies {}`: "502 HR2016", `answer {"index":"x"}`: "422 HR2002",
		`count {"n":0,"fail":true}`: "500 HR2015",
		`refuses {}`:                "422 HR2020", `refuses {"status":400}`: "400 HR2020", `refuses {"status":404}`: "404 HR2020", `refuses {"status":599}`: "599 HR2020",
		`refuses {"status":200}`: "500 HR2015",
	} {
		path, body, _ := strings.Cut(path, " ")
		got := r.do("POST", "/v1/calls/"+path, body)
		text := got.String()
		if got.status >= 400 {
			text = fmt.Sprint(got.status, " ", got.code(t))
		}
		if text != want {
			t.Errorf("%s %s: %v, want %s", path, body, got, want)
		}
	}
	if got := r.do("POST", "/v1/calls/count", `{"n":1,"fail":true}`); got.status != 200 || !strings.HasPrefix(got.body, "{\"i\":0}\n{\"error\":{") {
		t.Error(got)
	}
	if got := r.do("POST", "/v1/calls/count", `{"n":1,"fail":true}`, "Accept", "text/event-stream"); !strings.HasPrefix(got.body, "event: chunk\ndata: {\"i\":0}\n\nevent: error\ndata: {") {
		t.Error(got)
	}
}

// The function of a call whose client went away is cancelled.
func TestCallClientGone(t *testing.T) {
	r := newRig(t)
	running := filepath.Join(r.dir, "running")
	there := func() bool { _, err := os.Stat(running); return err == nil }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		request, err := http.NewRequestWithContext(ctx, "POST", r.url+"/v1/calls/patient", strings.NewReader(`{"path":"`+running+`"}`))
		if err == nil {
			_, err = http.DefaultClient.Do(request)
		}
		if err == nil {
			t.Error("the call was answered")
		}
	}()
	until(t, "the function runs", there)
	cancel()
	<-done
	until(t, "the function was cancelled", func() bool { return !there() })
}

// A large upload goes to the disk in constant memory.
func TestUploadMemory(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Engine.Durability = "written" })
	const size = 100 << 20
	before := allocated()
	head := "--b\r\nContent-Disposition: form-data; name=\"table\"; filename=\"t.csv\"\r\n\r\n"
	request, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/v1/jobs/measure?wait=20s",
		io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--b--\r\n")))
	must(t, err)
	request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	got, err := http.DefaultClient.Do(request)
	must(t, err)
	defer got.Body.Close()
	body, _ := io.ReadAll(got.Body)
	if !strings.Contains(string(body), fmt.Sprintf(`"result":%d`, size+10)) {
		t.Fatal(string(body))
	}
	if grown := allocated() - before; grown > 16<<20 {
		t.Errorf("%d MiB were allocated for an upload of %d", grown>>20, size>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocated counts all that was ever allocated: a buffer that grew and was freed counts too.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
