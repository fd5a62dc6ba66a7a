package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

func TestCancelMany(t *testing.T) {
	r := newRig(t, noopApp)
	var all []Request
	for range 150 {
		all = append(all, Request{Function: "noop", Args: args(`{}`), Queue: "a", Delay: time.Hour})
	}
	receipts, err := r.jobs.Enqueue(r.ctx(), all)
	if err != nil {
		t.Fatal(err)
	}
	after := r.enqueue(Request{Function: "noop", Queue: "a", After: []ID{receipts[0].ID}}) // is cancelled with what it comes after
	other := r.enqueue(Request{Function: "noop", Queue: "b", Delay: time.Hour})
	for _, f := range []Filter{{}, {Limit: 5}, {Queue: "a", States: []State{Dead}}} {
		if _, err := r.jobs.CancelMany(r.ctx(), f); problem.From(err) == nil || problem.From(err).Code != "HR2019" {
			t.Errorf("%+v: %v", f, err)
		}
	}
	n, err := r.jobs.CancelMany(r.ctx(), Filter{Queue: "a", Limit: 10})
	if n != 10 || err != nil {
		t.Fatal(n, err)
	}
	for n < 150 {
		more, err := r.jobs.CancelMany(r.ctx(), Filter{Queue: "a", Limit: 1000})
		if err != nil || more == 0 {
			t.Fatal(n, more, err)
		}
		n += more
	}
	for i := range receipts {
		r.wait(receipts[i].ID, Cancelled)
	}
	r.wait(after, Cancelled)
	if s := r.state(other); s != "scheduled" {
		t.Error(s)
	}
}

func TestArgumentsOfAnyJob(t *testing.T) {
	r := newRig(t, testApp)
	dead := r.enqueue(Request{Function: "slow"})
	done := r.enqueue(Request{Function: "add", Args: args(`{"a":40,"b":2}`)})
	waits := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Delay: time.Hour})
	r.wait(dead, Dead)
	r.wait(done, Succeeded)
	for range 2 {
		for id, want := range map[ID]string{dead: `{}`, done: `{"a":40,"b":2}`, waits: `{"a":1}`} {
			if got, err := r.jobs.Arguments(r.ctx(), id); err != nil || string(got) != want {
				t.Errorf("%s %v, want %s", got, err, want)
			}
		}
		r.reopen()
	}
	if _, err := r.jobs.Arguments(context.Background(), ID{1}); problem.From(err).Code != "HR2007" {
		t.Error(err)
	}
}

// A job of this name would be something else at POST /v1/jobs/retry.
func TestNamesThatAreVerbs(t *testing.T) {
	for name, kinds := range map[string][]string{"retry": {functions.Job, functions.Batch}, "cancel": {functions.Job, functions.Batch}} {
		for _, kind := range kinds {
			var p *problem.Error
			if _, err := functions.New(workers.Function{Name: name, Kind: kind, Args: args(`{"type":"object"}`)}, nil); !errors.As(err, &p) || p.Code != "HR9003" {
				t.Errorf("%s %s: %v", kind, name, err)
			}
		}
		if _, err := functions.New(workers.Function{Name: name, Kind: functions.Call, Args: args(`{"type":"object"}`)}, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestOldestInLine(t *testing.T) {
	r := newRig(t, testApp)
	if err := r.jobs.Pause(r.ctx(), "default", true); problem.From(err) == nil {
		t.Fatal("a queue that nobody has used was paused")
	}
	r.wait(r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)}), Succeeded)
	oldest := func() time.Time {
		for _, q := range r.jobs.Queues() {
			if q.Name == "default" {
				return q.Oldest
			}
		}
		return time.Time{}
	}
	if since := oldest(); !since.IsZero() {
		t.Error(since)
	}
	if err := r.jobs.Pause(r.ctx(), "default", true); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	first := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`), Key: "a"})
	between := time.Now()
	r.enqueue(Request{Function: "add", Args: args(`{"a":2}`), Key: "b", Priority: "critical"})
	if since := oldest(); since.Before(before) || since.After(between) {
		t.Errorf("%s, not from %s to %s", since, before, between)
	}
	if _, err := r.jobs.Cancel(r.ctx(), first); err != nil {
		t.Fatal(err)
	}
	if since := oldest(); since.Before(between) {
		t.Errorf("the one that was cancelled counts: %s", since)
	}
}

// TestListWhileIndexIsWritten holds the index while jobs are being written to it: they are in lists all the same.
func TestListWhileIndexIsWritten(t *testing.T) {
	r := newRig(t, noopApp)
	other, err := r.jobs.index.db.Conn(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	exec := func(text string) {
		t.Helper()
		if _, err := other.ExecContext(r.ctx(), text); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(state State, want ID) {
		t.Helper()
		list, err := r.jobs.List(r.ctx(), Filter{States: []State{state}})
		if err != nil || len(list) != 1 || list[0].ID != want.String() {
			t.Errorf("%s: %+v, error %v", state, list, err)
		}
	}
	waits := r.enqueue(Request{Function: "noop", Delay: time.Hour})
	exec("BEGIN IMMEDIATE") // the indexer waits
	r.until("the indexer has taken the job that waits", func() bool {
		r.jobs.mu.Lock()
		defer r.jobs.mu.Unlock()
		return len(r.jobs.writing) == 1 && len(r.jobs.dirty)+len(r.jobs.young) == 0
	})
	ended := r.enqueue(Request{Function: "noop"})
	r.wait(ended, Succeeded)
	listed(Scheduled, waits)
	listed(Succeeded, ended)
	exec("ROLLBACK")
	r.until("both are written", func() bool {
		r.jobs.mu.Lock()
		defer r.jobs.mu.Unlock()
		return len(r.jobs.writing)+len(r.jobs.dirty)+len(r.jobs.young) == 0
	})
	listed(Scheduled, waits)
	listed(Succeeded, ended)
}

// TestFunctionsShareRoom has more functions than workers: none of their jobs may be chosen only to be put back into line.
func TestFunctionsShareRoom(t *testing.T) {
	r := newRig(t, `
import time
import headrace as hr
app = hr.App()

def nap(name: str):
    def function() -> None: time.sleep(0.005)
    function.__name__ = name
    return function

for name in "abcdef":
    app.job()(nap(name))
`)
	var ids []ID
	for i := range 90 {
		ids = append(ids, r.enqueue(Request{Function: string("abcdef"[i%6])}))
	}
	for _, id := range ids {
		r.wait(id, Succeeded)
		running := 0
		events, err := r.jobs.Events(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == "state" && strings.Contains(string(e.Data), `"running"`) {
				running++
			}
		}
		if running != 1 {
			t.Errorf("job %s was started %d times", id, running)
		}
	}
}
