package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// Info is a job as the API shows it.
type Info struct {
	ID       string          `json:"id"`
	Function string          `json:"function"`
	Queue    string          `json:"queue"`
	State    string          `json:"state"`
	Priority string          `json:"priority"`
	Key      string          `json:"key,omitempty"`
	Tags     []string        `json:"tags,omitempty"`
	Parent   string          `json:"parent,omitempty"`
	User     string          `json:"user,omitempty"` // who asked for it, on a route that knows
	Attempt  int             `json:"attempt"`
	Worker   string          `json:"worker,omitempty"`
	Created  time.Time       `json:"created"`
	RunAt    time.Time       `json:"run_at,omitzero"`
	Started  time.Time       `json:"started,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
	Progress json.RawMessage `json:"progress,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// infoOf copies a job. Called under Jobs.mu.
func infoOf(b *job) Info {
	i := Info{
		ID: b.ID.String(), Function: b.Function, Queue: b.Queue, State: b.seen().String(), Priority: b.Priority.String(), Key: b.Key, Tags: b.Tags,
		Attempt: int(b.failures + b.crashes), Worker: b.worker, Error: b.error(),
		Created: b.Created.UTC(), RunAt: b.RunAt.UTC(), Started: b.started.UTC(), Finished: b.ended().UTC(),
	}
	if s := b.seen(); s == Running || s == Succeeded {
		i.Attempt++
	}
	if b.Parent != (ID{}) {
		i.Parent = b.Parent.String()
	}
	if b.Caller != nobody {
		i.User = b.Caller.Value().User
	}
	if b.more != nil {
		i.Progress = b.progress
	}
	return i
}

// Get returns a job, or HR2007. A job that was acknowledged is always found.
func (j *Jobs) Get(id ID) (Info, error) {
	j.mu.Lock()
	if b := j.find(id); b != nil {
		info := infoOf(b)
		j.mu.Unlock()
		return info, nil
	}
	j.mu.Unlock()
	r, err := j.index.get(id)
	return r.Info, err
}

// find returns a job that is live, or that has ended but is not in the index yet.
func (j *Jobs) find(id ID) *job {
	if b := j.live[id]; b != nil {
		return b
	}
	return j.recent[id]
}

// Wait returns the job when it has ended, or as it stands when the context ends first.
func (j *Jobs) Wait(ctx context.Context, id ID) (Info, error) {
	j.mu.Lock()
	if b := j.live[id]; b != nil {
		ended := make(chan struct{})
		b.extra().waiters = append(b.waiters, ended)
		ending := b.ending
		j.mu.Unlock()
		if ending {
			j.journal.hurry()
		}
		select {
		case <-ended:
		case <-ctx.Done():
		case <-j.journal.broken:
			return Info{}, j.journal.ready()
		}
	} else {
		j.mu.Unlock()
	}
	return j.Get(id)
}

// Arguments returns the JSON object that a job was enqueued with, whatever its state: HR2007 for a job that is not known.
func (j *Jobs) Arguments(ctx context.Context, id ID) ([]byte, error) {
	j.mu.Lock()
	b := j.find(id)
	var seq uint64
	if b != nil {
		if args := b.Args; args != nil {
			j.mu.Unlock()
			return args, nil
		}
		seq = b.seq
	}
	j.mu.Unlock()
	if b == nil {
		r, err := j.index.get(id)
		if err != nil {
			return nil, err
		}
		seq = r.seq
	}
	s, err := j.stored(ctx, id, seq)
	if err != nil {
		return nil, err
	}
	return s.Args, nil
}

// Result returns the JSON that a succeeded job returned; other jobs are HR2009.
func (j *Jobs) Result(ctx context.Context, id ID) ([]byte, error) {
	info, err := j.Get(id)
	if err != nil {
		return nil, err
	}
	if info.State != Succeeded.String() {
		return nil, problem.New("HR2009", "job %s is %s", id, info.State).At(id.String())
	}
	j.mu.Lock()
	if b := j.recent[id]; b != nil {
		result, large := b.result, b.more != nil && b.large
		j.mu.Unlock()
		return j.whole(result, large)
	}
	j.mu.Unlock()
	r, err := j.index.get(id)
	if err != nil {
		return nil, err
	}
	rec, err := j.recorded(ctx, r.endSeq, func(c *record) bool { return c.kind == recEnd && c.id == id && c.state == Succeeded })
	if err != nil {
		return nil, err
	}
	return j.whole(rec.body, rec.large)
}

// whole fetches a result that was too large for the journal. It fits in memory: it came in one frame.
func (j *Jobs) whole(recorded []byte, large bool) ([]byte, error) {
	if !large {
		return recorded, nil
	}
	var ref largeResult
	if err := json.Unmarshal(recorded, &ref); err != nil {
		return nil, fmt.Errorf("large result: %w", err)
	}
	file, info, err := j.engine.Blobs().Open(ref.Result.Digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	result := make([]byte, info.Size)
	_, err = io.ReadFull(file, result)
	return result, err
}

// Attempts returns the attempts that failed, and the last one whatever its end, oldest first.
func (j *Jobs) Attempts(id ID) ([]Attempt, error) {
	info, err := j.Get(id)
	if err != nil {
		return nil, err
	}
	var list []Attempt
	var runs uint32
	j.mu.Lock()
	if b := j.find(id); b != nil {
		if b.more != nil {
			list = append(list, b.attempts...)
		}
		runs = b.runs
		j.mu.Unlock()
	} else {
		j.mu.Unlock()
		r, err := j.index.get(id)
		if err != nil {
			return nil, err
		}
		list, runs = r.attempts, r.runs
	}
	if info.State == Running.String() || info.State == Succeeded.String() {
		list = append(list, Attempt{Number: info.Attempt, Run: runs, Worker: info.Worker, Started: info.Started, Ended: info.Finished, Ending: info.State})
	}
	return list, nil
}

// List returns jobs, newest first. It shows what was committed before the call, of the index and of what the index does not know yet.
func (j *Jobs) List(ctx context.Context, f Filter) ([]Info, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 1000)
	j.mu.Lock()
	queues, changed := slices.Collect(maps.Keys(j.queues)), slices.Concat(j.writing, j.dirty, j.young)
	j.mu.Unlock()
	rows, err := j.index.list(ctx, f, queues)
	if err != nil {
		return nil, err
	}
	settled := make(map[ID]bool, len(rows)) // the index has their last state
	for i := range rows {
		settled[rows[i].id] = true
	}
	for _, b := range changed {
		delete(settled, b.ID)
	}
	list := make([]Info, 0, len(rows))
	for i := range rows {
		if settled[rows[i].id] {
			list = append(list, rows[i].Info)
		}
	}
	j.mu.Lock()
	for _, b := range changed {
		if f.matches(b) {
			list = append(list, infoOf(b))
		}
	}
	j.mu.Unlock()
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(b.ID, a.ID) })
	list = slices.CompactFunc(list, func(a, b Info) bool { return a.ID == b.ID }) // a job changed while it was being written
	return list[:min(len(list), f.Limit)], nil
}

// parts are the outcomes of the jobs that another one comes after.
func (j *Jobs) parts(ids []ID) []part {
	list := make([]part, len(ids))
	for i, id := range ids {
		list[i].ID = id.String()
		info, err := j.Get(id)
		if err != nil {
			list[i].State, list[i].Error = "unknown", &workers.TaskError{Kind: "fail", Type: "headrace", Message: err.Error()}
			continue
		}
		list[i].State = info.State
		if info.State == Succeeded.String() {
			if list[i].Result, err = j.Result(context.Background(), id); err != nil {
				list[i].Error = &workers.TaskError{Kind: "fail", Type: "headrace", Message: err.Error()}
			}
			continue
		}
		if attempts, err := j.Attempts(id); err == nil && len(attempts) > 0 {
			last := attempts[len(attempts)-1]
			if list[i].Error = last.Error; last.Error == nil {
				list[i].Error = &workers.TaskError{Kind: "error", Type: "WorkerDied", Message: last.summary()}
			}
		}
	}
	return list
}
