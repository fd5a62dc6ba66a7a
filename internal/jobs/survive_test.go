package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/headrace/headrace/internal/config"
)

// told returns the events of a job from the first, as n kind state.
func (r *rig) told(id ID) (events []string) {
	r.t.Helper()
	now, cancel := context.WithCancel(context.Background())
	cancel() // what there is
	_ = r.jobs.Watch(now, id, 0, func(e Event) error {
		var s stateEvent
		if e.Kind == "state" && json.Unmarshal(e.Data, &s) != nil {
			r.t.Fatalf("event %s", e.Data)
		}
		events = append(events, fmt.Sprint(e.N, " ", e.Kind, " ", s.State))
		return nil
	})
	return events
}

func TestFirstEventStays(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "flaky", Args: args(`{"fail":1}`), Delay: 50 * time.Millisecond})
	r.wait(id, Succeeded)
	want := []string{"1 state scheduled", "2 state running", "3 state scheduled", "4 state running", "5 state succeeded"}
	for range 2 {
		if got := r.told(id); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		r.reopen()
	}
	if got := r.told(id); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestKeyIsHeldOverRestart(t *testing.T) {
	r := newRig(t, testApp, func(c *config.Config) { c.Queues["defaults"].Backoff = 3 * time.Second })
	first := r.enqueue(Request{Function: "waits", Args: args(`{"tenant":"a","n":1,"fail":true}`)})
	r.until("retry", func() bool { return r.state(first) == "scheduled" })
	second := r.enqueue(Request{Function: "waits", Args: args(`{"tenant":"a","n":2}`)})
	other := r.enqueue(Request{Function: "waits", Args: args(`{"tenant":"b","n":3}`)})
	r.reopen()
	r.wait(other, Succeeded)
	r.wait(second, Succeeded)
	if got := r.file("ordered-a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("order %q", got)
	}
}

func TestCarriedJobKeepsItsEvents(t *testing.T) {
	r := newRig(t, testApp)
	carry := func(id ID) {
		r.jobs.mu.Lock()
		defer r.jobs.mu.Unlock()
		b := r.jobs.live[id]
		if err := r.jobs.journal.append([]ticket{{kind: recCarry, job: b}}, *b.carry()); err != nil {
			t.Fatal(err)
		}
	}
	id := r.enqueue(Request{Function: "talk", Args: args(`{"n":8}`)})
	r.until("events", func() bool { return len(r.told(id)) > 4 })
	carry(id)
	waiting := r.enqueue(Request{Function: "later", Delay: time.Hour})
	carry(waiting)
	before, first := r.told(id), r.told(waiting)
	r.reopen() // interrupts it
	if got := r.told(id); len(got) < len(before) || !slices.Equal(got[:len(before)], before) {
		t.Errorf("events %q, before %q", got, before)
	}
	if got := r.told(waiting); !slices.Equal(got, first) {
		t.Errorf("events %q, before %q", got, first)
	}
	r.wait(id, Succeeded)
	for i, e := range r.told(id) {
		if n, _, _ := strings.Cut(e, " "); n != strconv.Itoa(i+1) {
			t.Errorf("event %d is %s", i+1, e)
		}
	}
}

func TestCarryOnTheWire(t *testing.T) {
	at := time.Unix(1700000000, 5)
	history := []Event{{N: 2, At: at, Kind: "state", Data: []byte(`{"state":"running"}`)}, {N: 3, At: at, Kind: "log", Data: []byte(`{}`)}}
	in := &record{kind: recCarry, spec: &Spec{ID: ID{1}, Function: "f", Queue: "q", Created: at, Policy: unique.Make(Policy{})},
		carried: &carried{runs: 1, events: 3, due: at, history: history}}
	in.spec.setRare(Rare{})
	k, fields, _, err := nextRecord(appendRecord(nil, in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := parseRecord(k, fields)
	if err != nil {
		t.Fatal(err)
	}
	if c := out.carried; !c.due.Equal(at) || len(c.history) != 2 || c.history[1].Kind != "log" || c.history[1].N != 3 || !c.history[0].At.Equal(at) {
		t.Errorf("%+v", c)
	}
}

func TestKeysSurviveATrim(t *testing.T) {
	r := newRig(t, testApp, func(c *config.Config) { c.Queues["defaults"].Keep.Succeeded.Age = time.Millisecond })
	var ids []ID
	request := func(i int) Request {
		return Request{Function: "add", Args: args(`{"a":1}`), Idempotency: fmt.Sprint("key", i), BodyHash: 1}
	}
	for i := range 300 { // one message of the journal each, at least
		ids = append(ids, r.enqueue(request(i)))
	}
	for _, id := range ids {
		if _, err := r.jobs.Wait(r.ctx(), id); err != nil {
			t.Fatal(err)
		}
	}
	r.until("trim", func() bool {
		if err := r.jobs.Retain(r.ctx(), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		return r.jobs.trimmed > 0
	})
	r.reopen()
	var again []Request
	for i := range ids {
		again = append(again, request(i))
	}
	receipts, err := r.jobs.Enqueue(r.ctx(), again)
	if err != nil {
		t.Fatal(err)
	}
	for i, receipt := range receipts {
		if receipt.ID != ids[i] || !receipt.Duplicate {
			t.Fatalf("key %d: %+v", i, receipt)
		}
	}
}

// TestIndexErrorLosesNothing takes a table away, as a full disk would, for one round of the indexer.
func TestIndexErrorLosesNothing(t *testing.T) {
	r := newRig(t, testApp)
	first := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)})
	r.wait(first, Succeeded)
	if err := r.jobs.flushed(r.ctx(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := r.jobs.index.db.Exec("ALTER TABLE jobs RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	id := r.enqueue(Request{Function: "add", Args: args(`{"a":2}`)})
	r.wait(id, Succeeded)
	if err := r.jobs.flushed(r.ctx(), id); err != nil { // fails, and says so in the log
		t.Fatal(err)
	}
	if _, err := r.jobs.index.db.Exec("ALTER TABLE away RENAME TO jobs"); err != nil {
		t.Fatal(err)
	}
	last := r.enqueue(Request{Function: "add", Args: args(`{"a":3}`)})
	r.wait(last, Succeeded)
	if err := r.jobs.flushed(r.ctx(), last); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	for _, id := range []ID{first, id, last} {
		r.wait(id, Succeeded)
	}
}

// TestIndexOfAnotherBoot is the index after a power cut: it may be whole and nevertheless lack what it claims to have.
func TestIndexOfAnotherBoot(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "add", Args: args(`{"a":1}`)})
	r.wait(id, Succeeded)
	r.close()
	x, err := openIndex(filepath.Join(r.config.Engine.Data, "jobs-main.db"), r.jobs.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"DELETE FROM jobs", "UPDATE boot SET id = 'another'"} {
		if _, err := x.db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.db.Close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.wait(id, Succeeded)
	r.reopen()
	r.wait(id, Succeeded)
}

// TestFullDiskEndsNoJob has a disk that is nearly full: new work is refused, what is there runs to its end, its children included.
func TestFullDiskEndsNoJob(t *testing.T) {
	r := newRig(t, testApp)
	id := r.enqueue(Request{Function: "parent", Delay: 100 * time.Millisecond})
	r.minFree = 1 << 60
	r.reopen()
	if p := r.refused(Request{Function: "add", Args: args(`{"a":1}`)}); p.Code != "HR5002" {
		t.Errorf("problem %+v", p)
	}
	r.wait(id, Succeeded)
	child, err := ParseID(strings.Trim(r.result(id), `"`))
	if err != nil {
		t.Fatal(err)
	}
	r.wait(child, Succeeded)
}

// TestCrashedJobIsNext has a long line when a worker dies: its job had its turn and does not queue again.
func TestCrashedJobIsNext(t *testing.T) {
	r := newRig(t, testApp)
	for i := range 2 {
		r.enqueue(Request{Function: "hold", Args: args(`{"name":"h%d"}`, i)})
	}
	r.until("busy", func() bool { return len(r.file("held")) == 2 })
	victim := r.enqueue(Request{Function: "suicide", Args: args(`{"times":1}`)})
	for i := range 200 {
		r.enqueue(Request{Function: "plain", Args: args(`{"n":%d}`, i)})
	}
	r.touch("go-h0")
	r.wait(victim, Succeeded)
	if done := len(r.file("order")); done > 100 {
		t.Errorf("%d jobs of the line ran before it", done)
	}
	r.touch("go-h1")
}
