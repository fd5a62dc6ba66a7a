package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
)

// ask is what a running task asks headrace for; spec/frame.md section 7.
type ask struct {
	ID       uint32          `json:"id"`
	Op       string          `json:"op"`
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args"`
	Options  json.RawMessage `json:"options"`
	Path     string          `json:"path"`
	Type     string          `json:"type"`
	Name     string          `json:"name"`

	whole []byte // the request, where it is not this plane's
}

// Operations answers what a running task asks for and this plane does not know. body is the whole request, JSON of spec/frame.md
// section 7, and the operation's to keep; the answer is the JSON value of ok. An operation that nobody knows is HR6009.
type Operations interface {
	Operate(ctx context.Context, op string, body []byte) ([]byte, error)
}

// SetOperations says who answers other operations than enqueue and blob, for jobs and calls alike. Call it before any pool is set.
func (j *Jobs) SetOperations(o Operations) { j.operations = o }

type reply struct {
	ID    uint32        `json:"id"`
	OK    any           `json:"ok,omitempty"`
	Error *replyProblem `json:"error,omitempty"`
}

type replyProblem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Request implements workers.Sink. A child inherits the trace and the deadline of the job that enqueues it.
func (r *run) Request(body []byte, answer func([]byte)) {
	r.jobs.Answer(body, Request{Parent: r.job.ID, Trace: r.traced, Deadline: r.job.Expires}, answer)
}

// Answer serves what a running task asks for, from a goroutine of its own: a commit takes as long as the disk does. child is what a job
// that the task enqueues begins with. Such a job is taken while the disk guard is closed: what runs may end.
func (j *Jobs) Answer(body []byte, child Request, answer func([]byte)) {
	var a ask
	err := json.Unmarshal(body, &a)
	if err != nil {
		err = problem.New("HR6001", "request of a worker: %w", err)
	} else if a.Op != "enqueue" && a.Op != "blob" {
		a.whole = bytes.Clone(body)
	}
	go func() {
		out := reply{ID: a.ID}
		if err == nil {
			out.OK, err = j.serve(&a, child)
		}
		if err != nil {
			p := problem.From(err)
			out.OK, out.Error = nil, &replyProblem{Code: p.Code, Message: p.What, Hint: p.Hint}
		}
		encoded, err := json.Marshal(out)
		if err != nil {
			panic("jobs: reply: " + err.Error())
		}
		answer(encoded)
	}()
}

func (j *Jobs) serve(a *ask, child Request) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch a.Op {
	case "enqueue":
		return j.enqueueChild(ctx, a, child)
	case "blob":
		// Adopting moves the file, so it must be one that was made to be handed over.
		spool, _ := filepath.EvalSymlinks(filepath.Join(j.engine.Data(), "spool"))
		path, err := filepath.EvalSymlinks(a.Path)
		if err != nil || !strings.HasPrefix(path, spool+string(filepath.Separator)) {
			return nil, problem.New("HR6009", "%q is not below the spool folder", a.Path).Hinting("hand files over with job.blob")
		}
		return j.engine.Blobs().Adopt(ctx, a.Path, blob.Meta{Type: a.Type, Name: a.Name})
	default:
		if j.operations != nil {
			answer, err := j.operations.Operate(ctx, a.Op, a.whole)
			return json.RawMessage(answer), err
		}
		return nil, problem.New("HR6009", "operation %q", a.Op)
	}
}

func (j *Jobs) enqueueChild(ctx context.Context, a *ask, child Request) (any, error) {
	child.Function, child.Args = a.Function, bytes.TrimSpace(a.Args)
	if len(child.Args) == 0 {
		child.Args = []byte("{}")
	}
	if err := child.SetOptions(a.Options); err != nil {
		return nil, err
	}
	if child.Idempotency != "" {
		child.Identify(functions.Canonical(a.Options))
	}
	receipts, err := j.store(ctx, []Request{child})
	if err != nil {
		return nil, err
	}
	if receipts[0].Err != nil {
		return nil, receipts[0].Err
	}
	return map[string]string{"id": receipts[0].ID.String()}, nil
}
