package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/observe"
)

const countingApp = `
import headrace as hr
app = hr.App()

@app.job(route="POST /counts")
def count(job: hr.Job, n: int):
    print("begun")
    job.progress(1, 2)
    for i in range(n):
        yield {"i": i}

@app.job(route="POST /noops")
def noop() -> int: return 1
`

// accepted enqueues over the public listener and returns the id of the job and the token of its follow link.
func accepted(t *testing.T, address, path, body string) (id, token string) {
	t.Helper()
	answer, err := http.Post("http://"+address+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var job struct{ ID, Follow string }
	if err := json.NewDecoder(answer.Body).Decode(&job); err != nil || answer.StatusCode != 202 {
		t.Fatal(answer.Status, err)
	}
	follow, err := url.Parse(job.Follow)
	if err != nil {
		t.Fatal(err)
	}
	return job.ID, follow.Query().Get("token")
}

// openEdge opens the public listener on the rig.
func (r *liveRig) openEdge() *edge.Server {
	r.t.Helper()
	planes := r.authority.planes
	planes.Config.Server.Listen = "127.0.0.1:0"
	log := slog.New(slog.DiscardHandler)
	door := edge.New(edge.Deps{Config: planes.Config, Engine: planes.Engine, Functions: r.functions, Jobs: r.jobs, Health: observe.NewHealth(log), Log: log})
	if err := door.Start(r.ctx()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = door.Stop(context.Background()) })
	return door
}

func told(publications []*protocol.Publication) (all []string) {
	for _, p := range publications {
		all = append(all, fmt.Sprintf("%d %s", p.Offset, p.Data))
	}
	return all
}

func TestJobChannels(t *testing.T) {
	r := newLiveRig(t, countingApp)
	door := r.openEdge()
	source := &jobChannels{jobs: r.jobs, follows: door.Follows}

	id, token := accepted(t, door.Addr().String(), "/counts", `{"n":3}`)
	other, otherToken := accepted(t, door.Addr().String(), "/noops", ``)
	for _, c := range []struct{ id, token, want string }{
		{id, token, "<nil>"}, {other, otherToken, "<nil>"}, {id, otherToken, "HR1006"}, {id, "", "HR1005"}, {id, "x", "HR1006"}, {"", token, "HR1006"},
		{"../../etc", token, "HR1006"}, {id + "x", token, "HR1006"},
	} {
		if got := code(source.Allow(c.id, c.token)); got != c.want {
			t.Errorf("Allow(%s, %s): %s, want %s", c.id, c.token, got, c.want)
		}
	}

	follow := func(id string, since uint64) (publications []*protocol.Publication) {
		t.Helper()
		if err := source.Follow(r.ctx(), id, since, func(p *protocol.Publication) { publications = append(publications, p) }); err != nil {
			t.Fatal(err)
		}
		return publications
	}
	all := told(follow(id, 0))
	if len(all) != 8 || !strings.HasPrefix(all[0], `1 {"kind":"state","data":{"state":"ready"`) || !strings.Contains(all[7], `"succeeded"`) {
		t.Fatalf("followed %q", all)
	}
	for _, want := range []string{`{"kind":"log","data":{"level":"stdout","text":"begun"`, `{"kind":"progress","data":{"done":1,"total":2}}`, `{"kind":"chunk","data":{"i":2}}`} {
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("%s was not told: %q", want, all)
		}
	}
	// Resuming after any offset neither repeats nor leaves out.
	for since := range len(all) + 2 {
		rest := fmt.Sprint(all[min(since, len(all)):])
		if got := fmt.Sprint(told(follow(id, uint64(since)))); got != rest {
			t.Errorf("followed after %d: %s, want %s", since, got, rest)
		}
		found, latest, err := source.Read(r.ctx(), id, uint64(since))
		if got := fmt.Sprint(told(found)); err != nil || got != rest || latest.Offset != uint64(len(all)) || latest.Epoch != id {
			t.Errorf("read after %d: %s, want %s; latest %v, %v", since, got, rest, latest, err)
		}
	}
	// A plain job's history is not stored, but its channel is the same.
	if got := told(follow(other, 1)); len(got) != 2 || !strings.Contains(got[1], "succeeded") {
		t.Errorf("a plain job: %q", got)
	}
	if _, _, err := source.Read(r.ctx(), (jobs.ID{1}).String(), 0); code(err) != "HR2007" {
		t.Errorf("a job that is not there: %v", err)
	}
}

// TestJobChannelOfALiveJob reads and follows while the job runs; a follower that leaves does not end it.
func TestJobChannelOfALiveJob(t *testing.T) {
	r := newLiveRig(t, `
import headrace as hr
app = hr.App()

@app.job()
async def wait(job: hr.Job) -> None:
    job.progress(1)
    while not job.cancelled:
        import asyncio
        await asyncio.sleep(0.005)
`)
	source := &jobChannels{jobs: r.jobs}
	receipts, err := r.jobs.Enqueue(r.ctx(), []jobs.Request{{Function: "wait", Args: []byte("{}")}})
	if err != nil || receipts[0].Err != nil {
		t.Fatal(err, receipts)
	}
	id := receipts[0].ID.String()
	ctx, leave := context.WithCancel(r.ctx())
	if err := source.Follow(ctx, id, 0, func(p *protocol.Publication) {
		if p.Offset == 3 {
			leave()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("a follower that leaves: %v", err)
	}
	found, latest, err := source.Read(r.ctx(), id, 1)
	if err != nil || latest.Offset != 3 || len(found) != 2 || string(found[1].Data) != `{"kind":"progress","data":{"done":1}}` {
		t.Errorf("read %q, latest %v, %v", told(found), latest, err)
	}
	if _, err := r.jobs.Cancel(r.ctx(), receipts[0].ID); err != nil {
		t.Fatal(err)
	}
	var rest []*protocol.Publication
	if err := source.Follow(r.ctx(), id, latest.Offset, func(p *protocol.Publication) { rest = append(rest, p) }); err != nil || len(rest) == 0 || rest[0].Offset != 4 {
		t.Errorf("followed to the end: %q, %v", told(rest), err)
	}
}
