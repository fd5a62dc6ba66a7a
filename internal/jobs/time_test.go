package jobs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// queueOf changes the defaults of all queues.
func queueOf(change func(*config.Queue)) func(*config.Config) {
	return func(c *config.Config) { change(c.Queues[config.DefaultQueue]) }
}

func TestDelayAndRunAt(t *testing.T) {
	r := newRig(t, testApp)
	began := time.Now()
	delayed := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: 150 * time.Millisecond})
	at := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), RunAt: began.Add(150 * time.Millisecond)})
	for _, id := range []ID{delayed, at} {
		if info := r.wait(id, Succeeded); info.Started.Sub(began) < 150*time.Millisecond {
			t.Errorf("started after %s", info.Started.Sub(began))
		}
	}
}

func TestScheduledSurvivesARestart(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: 300 * time.Millisecond})
	r.reopen()
	r.wait(id, Succeeded)
}

func TestQueueTimeoutAndDeadlineOfChildren(t *testing.T) {
	const app = testApp + `
@app.job(queue_timeout="50ms")
def impatient() -> None: ...

@app.job(queue="children")
def heir() -> None: ...

@app.job()
def father(job: hr.Job) -> str:
    return job.enqueue(heir)
`
	r := newRig(t, app)
	r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: time.Hour})
	if err := r.jobs.Pause(r.ctx(), "default", true); err != nil {
		t.Fatal(err)
	}
	info := r.wait(r.enqueue(Request{Function: "impatient"}), Expired)
	if !strings.Contains(info.Error, "QueueTimeout") {
		t.Errorf("%+v", info)
	}
	if err := r.jobs.Pause(r.ctx(), "default", false); err != nil {
		t.Fatal(err)
	}
	id := r.enqueue(Request{Function: "father", Expires: 30 * time.Second})
	r.wait(id, Succeeded)
	child, err := ParseID(strings.Trim(r.result(id), `"`))
	if err != nil {
		t.Fatal(err)
	}
	r.wait(child, Succeeded)
	row, err := r.jobs.index.get(child)
	if err != nil {
		if err := r.jobs.flushed(r.ctx(), child); err != nil {
			t.Fatal(err)
		}
		if row, err = r.jobs.index.get(child); err != nil {
			t.Fatal(err)
		}
	}
	spec, err := r.jobs.stored(r.ctx(), child, row.seq)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(spec.Expires); left <= 0 || left > 30*time.Second {
		t.Errorf("child expires in %s", left)
	}
}

func TestRate(t *testing.T) {
	r := newRig(t, testApp, queueOf(func(q *config.Queue) { q.Rate = config.Rate{N: 5, Per: 250 * time.Millisecond} }))
	began := time.Now()
	var ids []ID
	for range 15 {
		ids = append(ids, r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)}))
	}
	for _, id := range ids {
		r.wait(id, Succeeded)
	}
	// Five at once, the other ten at one in 50 ms.
	if took := time.Since(began); took < 450*time.Millisecond {
		t.Errorf("15 jobs at 5 in 250ms took %s", took)
	}
}

func TestRetentionTrimsTheJournal(t *testing.T) {
	r := newRig(t, testApp, queueOf(func(q *config.Queue) { q.Keep.Succeeded.Count = 20 }))
	old := r.enqueue(Request{Function: "add", Args: args(`{"a":41}`), Delay: time.Hour, Idempotency: "old", BodyHash: 1})
	first := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)})
	r.wait(first, Succeeded)
	for range 1300 { // one message each, since each is waited for
		r.wait(r.enqueue(Request{Function: "add", Args: args(`{"a":2}`)}), Succeeded)
	}
	trimmed := func() bool {
		if err := r.jobs.Retain(r.ctx(), time.Now()); err != nil {
			t.Fatal(err)
		}
		info, err := r.jobs.stream.Info(r.ctx())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.FirstSeq > 1000
	}
	r.until("journal trimmed", trimmed)
	if _, err := r.jobs.Get(first); err == nil || !strings.Contains(err.Error(), "HR2007") {
		t.Error("job past its retention is still there:", err)
	}
	r.reopen()
	if got := r.state(old); got != "scheduled" {
		t.Errorf("carried job is %s", got)
	}
	if again := r.enqueue(Request{Function: "add", Args: args(`{"a":41}`), Idempotency: "old", BodyHash: 1}); again != old {
		t.Error("idempotency key was trimmed")
	}
	if _, err := r.jobs.Retry(r.ctx(), old); err != nil {
		t.Fatal(err)
	}
	r.wait(old, Succeeded)
	if got := r.result(old); got != "42" {
		t.Errorf("result %s", got)
	}
	r.until("20 jobs kept", func() bool {
		trimmed()
		list, err := r.jobs.List(r.ctx(), Filter{States: []State{Succeeded}})
		return err == nil && len(list) == 20
	})
}

func TestIndexIsAProjection(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "talk", Args: args(`{"n":1}`)})
	r.wait(id, Succeeded)
	dead := r.enqueue(Request{Function: "hopeless"})
	before := r.wait(dead, Dead)
	r.close()
	x, err := openIndex(r.jobs.index.path, r.jobs.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.reset(); err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	after := r.wait(dead, Dead)
	if after.Error != before.Error || after.Function != before.Function || !after.Created.Equal(before.Created) {
		t.Errorf("%+v became %+v", before, after)
	}
	events := 0
	if err := r.jobs.Watch(context.Background(), id, 0, func(Event) error { events++; return nil }); err != nil {
		t.Fatal(err)
	}
	if events != 6 {
		t.Errorf("%d events", events)
	}
}

func TestCron(t *testing.T) {
	const app = testApp + `
@app.cron("*/5 * * * *", timezone="Europe/Berlin")
def tick(job: hr.Job) -> None:
    mark("ticks", job.id)
`
	r := newRig(t, app)
	r.jobs.mu.Lock()
	c := r.jobs.crons["tick"]
	next := c.next
	c.next = time.Now().Add(-time.Second)
	r.jobs.mu.Unlock()
	if wait := time.Until(next); wait <= 0 || wait > 5*time.Minute {
		t.Errorf("next run in %s", wait)
	}
	r.jobs.nudge()
	r.until("ran", func() bool { return len(r.file("ticks")) == 1 })
	if got := r.jobs.NextRun("tick"); !got.Equal(next) {
		t.Errorf("then it runs at %s, not at %s", got, next)
	}
	if got := r.jobs.NextRun("add"); !got.IsZero() {
		t.Error(got)
	}
	if err := CheckCron("61 * * * *", "UTC"); err == nil || !strings.Contains(err.Error(), "HR2018") {
		t.Error(err)
	}
	if err := CheckCron("* * * * *", "Mars/Olympus"); err == nil || !strings.Contains(err.Error(), "HR2018") {
		t.Error(err)
	}
}

func TestCronWaitsForRoom(t *testing.T) {
	r := newRig(t, testApp+`
@app.cron("*/5 * * * *")
def tick(job: hr.Job) -> None:
    mark("ticks", job.id)
`, func(c *config.Config) { c.Queues[config.DefaultQueue].MaxPending = 1 })
	full := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: time.Hour})
	ended := make(chan struct{})
	go func() { r.jobs.fireCron("tick", time.Now()); close(ended) }()
	if _, err := r.jobs.Cancel(r.ctx(), full); err != nil {
		t.Fatal(err)
	}
	r.until("ran", func() bool { return len(r.file("ticks")) == 1 })
	<-ended
}

func TestMissedRuns(t *testing.T) {
	schedule, zone, err := parseCron("0 * * * *", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 29, 12, 0, 10, 0, zone) // the day summer time begins
	for policy, want := range map[string]int{missedSkip: 1, missedOnce: 2, missedAll: 5} {
		c := &cron{schedule: schedule, zone: zone, missed: policy, next: now.Add(-4*time.Hour - 10*time.Second)}
		if got := c.due(now); len(got) != want || !c.next.After(now) {
			t.Errorf("%s: %v, next %s", policy, got, c.next)
		}
	}
}

func TestBlobsIn(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	if got := blobsIn([]byte(`{"a":{"$blob": "` + digest + `","size":1},"b":[{"$blob":"sha256:short"}]}`)); len(got) != 1 || string(got[0]) != digest {
		t.Errorf("%v", got)
	}
}
