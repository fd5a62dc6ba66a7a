package jobs

import (
	"testing"
	"time"
	"unique"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
)

const callerApp = `
import headrace as hr
app = hr.App()

@app.job(backoff="1ms")
def who(job: hr.Job) -> list[object]:
    if job.attempt == 1:
        raise RuntimeError("once more")
    return [job.user, job.method, job.claims, job.attempt]

@app.job()
def nobody(job: hr.Job) -> list[object]:
    return [job.user, job.method, job.claims]

@app.job()
def parent(job: hr.Job) -> str:
    return job.enqueue("nobody")

@app.job()
def refuses() -> None:
    raise hr.Fail("no such order", status=404)
`

func (r *rig) pause(paused bool) {
	r.t.Helper()
	if err := r.jobs.Pause(r.ctx(), "default", paused); err != nil {
		r.t.Fatal(err)
	}
}

// Every attempt is told who asked for the job, also after a restart, and whether or not it was kept in memory.
func TestCallerOfJob(t *testing.T) {
	for name, memory := range map[string]config.Size{"in memory": config.MiB, "in the journal": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, callerApp, func(c *config.Config) { c.Jobs.Memory = memory })
			r.wait(r.enqueue(Request{Function: "nobody"}), Succeeded) // a queue that nothing has used cannot be paused
			r.pause(true)
			ann := unique.Make(identity.Caller{User: "ann", Method: "jwt", Claims: `{"sub":"ann","roles":["clerk"]}`})
			id := r.enqueue(Request{Function: "who", Caller: ann})
			stranger := r.enqueue(Request{Function: "nobody"})
			nameless := r.enqueue(Request{Function: "nobody", Caller: unique.Make(identity.Caller{Method: "forward"})})
			r.reopen()
			if info, err := r.jobs.Get(id); err != nil || info.User != "ann" {
				t.Errorf("%+v, %v", info, err)
			}
			r.pause(false)
			for id, want := range map[ID]string{id: `["ann","jwt",{"sub":"ann","roles":["clerk"]},2]`, stranger: `["","",{}]`, nameless: `["","forward",{}]`} {
				r.wait(id, Succeeded)
				if got := r.result(id); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			r.jobs.mu.Lock()
			held := r.jobs.argBytes
			r.jobs.mu.Unlock()
			if held != 0 {
				t.Errorf("%d bytes are held for jobs that have ended", held)
			}
			// From the index, and begun anew from the journal.
			r.reopen()
			if info, err := r.jobs.Get(id); err != nil || info.User != "ann" {
				t.Errorf("%+v, %v", info, err)
			}
			if _, err := r.jobs.Retry(r.ctx(), id); err != nil {
				t.Fatal(err)
			}
			r.wait(id, Succeeded)
			if got, want := r.result(id), `["ann","jwt",{"sub":"ann","roles":["clerk"]},2]`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// What a job enqueues was asked for by nobody.
func TestCallerOfChild(t *testing.T) {
	r := newRig(t, callerApp)
	id := r.enqueue(Request{Function: "parent", Caller: unique.Make(identity.Caller{User: "ann", Method: "key"})})
	r.wait(id, Succeeded)
	child, err := ParseID(r.result(id)[1:27])
	if err != nil {
		t.Fatal(err)
	}
	if info := r.wait(child, Succeeded); info.User != "" || r.result(child) != `["","",{}]` {
		t.Errorf("%+v: %s", info, r.result(child))
	}
}

func TestStatusOfFailureIsNoneOfAJob(t *testing.T) {
	r := newRig(t, callerApp)
	id := r.enqueue(Request{Function: "refuses"})
	r.wait(id, Dead)
	attempts, err := r.jobs.Attempts(id)
	if err != nil || len(attempts) != 1 || attempts[0].Error.Kind != "fail" || attempts[0].Error.Status != 0 {
		t.Errorf("%+v, %v", attempts, err)
	}
}

// Nobody costs nothing: neither a byte in the journal nor one in memory.
func TestNobodyCostsNothing(t *testing.T) {
	plain := Spec{ID: ID{1}, Function: "f", Queue: "q", Args: []byte("{}"), Created: time.Unix(1, 0), Policy: unique.Make(Policy{})}
	plain.setRare(Rare{})
	if plain.Rare != &noRare || plain.held() != 2 {
		t.Errorf("%+v", plain)
	}
	with := plain
	with.setRare(Rare{Caller: unique.Make(identity.Caller{User: "ann"})})
	if a, b := len(plain.append(nil)), len(with.append(nil)); b != a+len("ann")+3 {
		t.Errorf("%d bytes without, %d with a user of three letters", a, b)
	}
}
