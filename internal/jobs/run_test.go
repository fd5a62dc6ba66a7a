package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

const testApp = `
import os, time, pathlib, signal
import headrace as hr
app = hr.App()
here = pathlib.Path(__file__).parent

def mark(name, text):
    with open(here / name, "a") as f:
        f.write(str(text) + "\n")

@app.job()
def add(a: int, b: int = 1) -> int:
    return a + b

@app.job(retries=2, backoff="10ms")
def flaky(job: hr.Job, fail: int) -> int:
    mark("flaky", job.attempt)
    if job.attempt <= fail:
        raise ValueError(f"attempt {job.attempt}")
    return job.attempt

@app.job()
def hopeless() -> None:
    raise hr.Fail("no use")

@app.job()
def later(job: hr.Job) -> int:
    if job.attempt == 1:
        raise hr.Retry(after="20ms")
    return job.attempt

@app.job()
def suicide(job: hr.Job, times: int) -> int:
    n = (job.resume() or 0) + 1
    job.checkpoint(n)
    mark("suicide", n)
    if n <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return n

@app.job()
def hold(job: hr.Job, name: str = "x") -> str:
    mark("held", name)
    while not (here / f"go-{name}").exists():
        if job.cancelled: raise hr.Cancelled()
        time.sleep(0.002)
    return name

@app.job(timeout="100ms", retries=0)
def slow() -> None:
    time.sleep(30)

@app.job()
def talk(job: hr.Job, n: int = 3):
    for i in range(n):
        print("line", i)
        job.progress(i + 1, n, note="step")
        time.sleep(0.12)
        yield i

@app.job(key="tenant", key_limit=1, retries=3, backoff="20ms")
def ordered(job: hr.Job, tenant: str, n: int, fail: bool = False) -> int:
    if fail and job.attempt == 1:
        raise ValueError("first time")
    mark("ordered-" + tenant, n)
    return n

@app.job(key="tenant", key_limit=1)
def waits(job: hr.Job, tenant: str, n: int, fail: bool = False) -> int:
    if fail and job.attempt == 1:
        raise ValueError("first time")
    mark("ordered-" + tenant, n)
    return n

@app.job(unique="name", key="name")
def named(name: str = "bob", times: int = 1) -> str:
    return name

@app.job(unique="args")
def once(x: int) -> int:
    return x

@app.job()
def parent(job: hr.Job) -> str:
    return job.enqueue(add, a=40, b=2)

@app.job(backoff="1ms")
def careful(job: hr.Job) -> str:
    child = job.enqueue(add, a=job.attempt // 9, idempotency_key=job.id, unique_policy="newest", key="k", key_limit=2)
    if job.attempt == 1:
        raise ValueError("after the child")
    return child

@app.job()
def join(job: hr.Job) -> list[object]:
    return [(p["state"], p.get("result")) for p in job.parts]

@app.job()
def big(n: int) -> str:
    return "x" * n

@app.job(priority="low")
def lowly(n: int) -> None:
    mark("order", f"l{n}")

@app.job()
def plain(n: int) -> None:
    mark("order", f"n{n}")

@app.job(priority="critical")
def vital(n: int) -> None:
    mark("order", f"c{n}")
`

func args(format string, a ...any) []byte { return fmt.Appendf(nil, format, a...) }

func TestSucceeds(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "add", Args: args(`{"a":41}`), Tags: []string{"one"}})
	info := r.wait(id, Succeeded)
	if got := r.result(id); got != "42" {
		t.Errorf("result %s", got)
	}
	if info.Attempt != 1 || info.Worker == "" || info.Started.IsZero() || info.Finished.IsZero() {
		t.Errorf("%+v", info)
	}
	r.until("index", func() bool {
		list, err := r.jobs.List(r.ctx(), Filter{Tag: "one", States: []State{Succeeded}})
		return err == nil && len(list) == 1 && list[0].ID == id.String()
	})
	if got := r.result(id); got != "42" {
		t.Errorf("result from the journal %s", got)
	}
	r.reopen()
	if got := r.result(id); got != "42" {
		t.Errorf("result after a restart %s", got)
	}
}

func TestRetries(t *testing.T) {
	r := newRig(t, testApp)
	if got := r.enqueue(Request{Function: "flaky", Args: args(`{"fail":2}`)}); r.wait(got, Succeeded).Attempt != 3 || r.result(got) != "3" {
		t.Error("wanted three attempts")
	}
	dead := r.enqueue(Request{Function: "flaky", Args: args(`{"fail":9}`)})
	if info := r.wait(dead, Dead); info.Attempt != 3 || !strings.Contains(info.Error, "ValueError: attempt 3") {
		t.Errorf("%+v", info)
	}
	attempts, err := r.jobs.Attempts(dead)
	if err != nil || len(attempts) != 3 || !strings.Contains(attempts[0].Error.Traceback, "app.py") {
		t.Errorf("%+v %v", attempts, err)
	}
	if info := r.wait(r.enqueue(Request{Function: "hopeless"}), Dead); info.Attempt != 1 {
		t.Errorf("%+v", info)
	}
	if id := r.enqueue(Request{Function: "later"}); r.wait(id, Succeeded).Attempt != 2 {
		t.Error("hr.Retry did not retry")
	}
	if _, err := r.jobs.Retry(r.ctx(), dead); err != nil {
		t.Fatal(err)
	}
	r.wait(dead, Dead)
	if attempts, err = r.jobs.Attempts(dead); err != nil || len(attempts) != 6 {
		t.Errorf("%d attempts after a retry by hand, %v", len(attempts), err)
	}
	if n := len(r.file("flaky")); n != 9 {
		t.Errorf("ran %d times", n)
	}
}

func TestCrashes(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "suicide", Args: args(`{"times":1}`)})
	r.wait(id, Succeeded)
	if r.result(id) != "2" {
		t.Errorf("checkpoint did not survive: %s", r.result(id))
	}
	poison := r.enqueue(Request{Function: "suicide", Args: args(`{"times":99}`)})
	r.wait(poison, Dead)
	attempts, err := r.jobs.Attempts(poison)
	if err != nil || len(attempts) != 3 || attempts[2].Death == nil || attempts[2].Death.Signal != "SIGKILL" {
		t.Errorf("%+v %v", attempts, err)
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	r := newRig(t, testApp)
	if info := r.wait(r.enqueue(Request{Function: "slow"}), Dead); info.Attempt != 1 {
		t.Errorf("%+v", info)
	}
	id := r.enqueue(Request{Function: "hold"})
	r.until("running", func() bool { return len(r.file("held")) == 1 })
	if _, err := r.jobs.Cancel(r.ctx(), id); err != nil {
		t.Fatal(err)
	}
	r.wait(id, Cancelled)
	waits := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: time.Hour})
	if r.state(waits) != "scheduled" {
		t.Error(r.state(waits))
	}
	if _, err := r.jobs.Cancel(r.ctx(), waits); err != nil {
		t.Fatal(err)
	}
	r.wait(waits, Cancelled)
	if _, err := r.jobs.Cancel(r.ctx(), waits); err == nil || !strings.Contains(err.Error(), "HR2008") {
		t.Error(err)
	}
	expired := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: time.Hour, Expires: 20 * time.Millisecond})
	r.wait(expired, Expired)
}

func TestEventsResume(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "talk", Args: args(`{"n":3}`)})
	var all []Event
	if err := r.jobs.Watch(r.ctx(), id, 0, func(e Event) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for i, e := range all {
		kinds[e.Kind]++
		if int(e.N) != i+1 {
			t.Fatalf("event %d has number %d", i, e.N)
		}
	}
	if kinds["chunk"] != 3 || kinds["log"] != 3 || kinds["progress"] != 3 || kinds["state"] != 3 {
		t.Errorf("%v", kinds)
	}
	check := func(when string) {
		t.Helper()
		for from := 0; from <= len(all); from++ {
			n := from
			if err := r.jobs.Watch(r.ctx(), id, uint32(from), func(e Event) error {
				if want := all[n]; e.N != want.N || e.Kind != want.Kind || string(e.Data) != string(want.Data) {
					return fmt.Errorf("%s, event %d: %s %s, want %s %s", when, n, e.Kind, e.Data, want.Kind, want.Data)
				}
				n++
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if n != len(all) {
				t.Fatalf("%s: resumed at %d, ended at %d of %d", when, from, n, len(all))
			}
		}
	}
	check("at once")
	r.reopen()
	check("after a restart")
	plain := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)})
	r.wait(plain, Succeeded)
	r.reopen()
	var states []string
	if err := r.jobs.Watch(r.ctx(), plain, 0, func(e Event) error { states = append(states, string(e.Data)); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(states) != 3 || !strings.Contains(states[2], "succeeded") {
		t.Errorf("%v", states)
	}
}

func TestKeysKeepOrder(t *testing.T) {
	r := newRig(t, testApp)
	var last []ID
	for n := range 30 {
		for _, tenant := range []string{"a", "b", "c"} {
			last = append(last, r.enqueue(Request{Function: "ordered", Args: args(`{"tenant":%q,"n":%d,"fail":%v}`, tenant, n, n%7 == 3)}))
		}
	}
	for _, id := range last {
		r.wait(id, Succeeded)
	}
	for _, tenant := range []string{"a", "b", "c"} {
		for n, got := range r.file("ordered-" + tenant) {
			if got != fmt.Sprint(n) {
				t.Fatalf("tenant %s: %v", tenant, r.file("ordered-"+tenant))
			}
		}
	}
}

func TestUniqueAndIdempotent(t *testing.T) {
	r := newRig(t, testApp)
	first := r.enqueue(Request{Function: "once", Args: args(`{"x":1}`), Delay: time.Hour})
	if again := r.enqueue(Request{Function: "once", Args: args(`{ "x": 1 }`)}); again != first {
		t.Error("unique job twice")
	}
	if other := r.enqueue(Request{Function: "once", Args: args(`{"x":2}`), Delay: time.Hour}); other == first {
		t.Error("another job under the same unique value")
	}
	byArgs := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Unique: "args", Delay: time.Hour})
	if r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Unique: "args"}) != byArgs || r.enqueue(Request{Function: "add", Args: args(`{"a":2}`), Unique: "args"}) == byArgs {
		t.Error("unique by the arguments of a request")
	}
	byName := r.enqueue(Request{Function: "add", Args: args(`{"a":3}`), Unique: "a", Delay: time.Hour})
	if r.enqueue(Request{Function: "add", Args: args(`{"a":3,"b":9}`), Unique: "a"}) != byName {
		t.Error("unique by one argument of a request")
	}
	byDefault := r.enqueue(Request{Function: "named", Delay: time.Hour})
	if r.enqueue(Request{Function: "named", Args: args(`{"name":"bob"}`)}) != byDefault || r.enqueue(Request{Function: "named", Args: args(`{"name":"ann"}`)}) == byDefault {
		t.Error("unique by an argument that has a default")
	}
	if r.enqueue(Request{Function: "named", Args: args(`{"name":"bob"}`), Unique: "args"}) == byDefault {
		t.Error("a value and all arguments are the same")
	}
	allDefault := r.enqueue(Request{Function: "named", Args: args(`{"name":"eve"}`), Unique: "args", Delay: time.Hour})
	if r.enqueue(Request{Function: "named", Args: args(`{"times":1,"name":"eve"}`), Unique: "args"}) != allDefault {
		t.Error("unique by all arguments, one of which is given as what is its default")
	}
	if info, err := r.jobs.Get(byDefault); err != nil || info.Key != "bob" {
		t.Errorf("key by default: %+v %v", info, err)
	}
	newest := true
	replaced := r.enqueue(Request{Function: "once", Args: args(`{"x":1}`), Newest: &newest, Delay: time.Hour})
	r.wait(first, Cancelled)
	idem := Request{Function: "add", Args: args(`{"a":1}`), Idempotency: "k", BodyHash: 7}
	one := r.enqueue(idem)
	if r.enqueue(idem) != one {
		t.Error("idempotency key made two jobs")
	}
	r.reopen()
	if r.enqueue(idem) != one {
		t.Error("idempotency key forgotten by a restart")
	}
	if again := r.enqueue(Request{Function: "once", Args: args(`{"x":1}`)}); again != replaced {
		t.Error("unique job forgotten by a restart")
	}
	idem.BodyHash = 8
	if p := r.refused(idem); p.Code != "HR2005" {
		t.Error(p)
	}
}

func TestChildrenAndJoin(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "parent"})
	r.wait(id, Succeeded)
	var text string
	if err := json.Unmarshal([]byte(r.result(id)), &text); err != nil {
		t.Fatal(err)
	}
	child, err := ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	if info := r.wait(child, Succeeded); info.Parent != id.String() {
		t.Errorf("%+v", info)
	}
	careful := r.enqueue(Request{Function: "careful"})
	r.wait(careful, Succeeded)
	if list, err := r.jobs.List(r.ctx(), Filter{Key: "k"}); err != nil || len(list) != 1 || `"`+list[0].ID+`"` != r.result(careful) {
		t.Errorf("two attempts made %+v %v", list, err)
	}
	good := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)})
	bad := r.enqueue(Request{Function: "hopeless", Delay: 50 * time.Millisecond})
	both := r.enqueue(Request{Function: "join", After: []ID{good, bad}, Continue: true})
	strict := r.enqueue(Request{Function: "join", After: []ID{good, bad}})
	r.wait(both, Succeeded)
	if got := r.result(both); got != `[["succeeded",2],["dead",null]]` {
		t.Error(got)
	}
	r.wait(strict, Cancelled)
	if p := r.refused(Request{Function: "join", After: []ID{{1}}}); p.Code != "HR2007" {
		t.Error(p)
	}
}

func TestLargeResultIsABlob(t *testing.T) {
	r := newRig(t, testApp)
	small := r.enqueue(Request{Function: "big", Args: args(`{"n":65534}`)}) // with its quotes 64 KiB
	large := r.enqueue(Request{Function: "big", Args: args(`{"n":65535}`)})
	r.wait(small, Succeeded)
	r.wait(large, Succeeded)
	if got := r.result(small); len(got) != 65536 {
		t.Errorf("%d bytes", len(got))
	}
	if got := r.result(large); len(got) != 65537 {
		t.Errorf("%d bytes", len(got))
	}
	r.reopen()
	if got := r.result(large); len(got) != 65537 {
		t.Errorf("%d bytes after a restart", len(got))
	}
}

func TestPriorities(t *testing.T) {
	r := newRig(t, testApp)
	r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)})
	if err := r.jobs.Pause(r.ctx(), "default", true); err != nil {
		t.Fatal(err)
	}
	var ids []ID
	for n := range 60 {
		for _, f := range []string{"lowly", "plain", "vital"} {
			ids = append(ids, r.enqueue(Request{Function: f, Args: args(`{"n":%d}`, n)}))
		}
	}
	r.workers = 1 // which runs them in the order in which they are dispatched
	r.reopen()
	if !r.jobs.Queues()[0].Paused {
		t.Fatal("a restart resumed the queue")
	}
	if err := r.jobs.Pause(r.ctx(), "default", false); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		r.wait(id, Succeeded)
	}
	order := r.file("order")
	count := map[byte]int{}
	for _, o := range order[:60] {
		count[o[0]]++
	}
	if count['c'] < 45 || count['n'] < 2 || count['l'] == 0 || count['l'] > 6 {
		t.Errorf("first sixty: %v", count)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t, testApp, func(c *config.Config) {
		q := *c.Queues["defaults"]
		q.Concurrency, q.MaxPending = 1, 3
		c.Queues["narrow"] = &q
	})
	var ids []ID
	for _, name := range []string{"a", "b", "c"} {
		ids = append(ids, r.enqueue(Request{Function: "hold", Queue: "narrow", Args: args(`{"name":%q}`, name)}))
	}
	if p := r.refused(Request{Function: "hold", Queue: "narrow"}); p.Code != "HR2006" {
		t.Error(p)
	}
	if err := r.jobs.Full("narrow"); err == nil {
		t.Error("queue is not full")
	}
	r.until("one held", func() bool { return len(r.file("held")) == 1 })
	if q := r.jobs.Queues()[0]; q.Name != "narrow" || q.Running != 1 || q.Ready != 2 {
		t.Errorf("%+v", q)
	}
	for _, name := range []string{"a", "b", "c"} {
		r.touch("go-" + name)
	}
	for _, id := range ids {
		r.wait(id, Succeeded)
	}
}

func TestBadRequests(t *testing.T) {
	r := newRig(t, testApp)
	for _, c := range []struct {
		code, where string
		request     Request
	}{
		{"HR2003", "nothing", Request{Function: "nothing"}},
		{"HR2002", "/args/a", Request{Function: "add", Args: args(`{"a":"x"}`)}},
		{"HR2002", "/args", Request{Function: "add"}},
		{"HR2002", "/args", Request{Function: "add", Args: args(`{"a":1,"z":1}`)}},
		{"HR2004", "priority", Request{Function: "add", Args: args(`{"a":1}`), Priority: "urgent"}},
		{"HR1003", "/args", Request{Function: "hold", Args: args(`{"name":%q}`, strings.Repeat("x", 65536))}},
	} {
		if p := r.refused(c.request); p.Code != c.code || p.Where != c.where {
			t.Errorf("%+v: %v at %q", c.request.Function, p, p.Where)
		}
	}
	if list, err := r.jobs.List(r.ctx(), Filter{}); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}
