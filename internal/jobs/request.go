package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/headrace/headrace/internal/engine/blob"
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
}

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

// Request implements workers.Sink. The work is done in a goroutine of its own: a commit takes as long as the disk does.
func (r *run) Request(body []byte, answer func([]byte)) {
	var a ask
	err := json.Unmarshal(body, &a)
	if err != nil {
		err = problem.New("HR6001", "request of a worker: %w", err)
	}
	go func() {
		out := reply{ID: a.ID}
		if err == nil {
			out.OK, err = r.serve(&a)
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

func (r *run) serve(a *ask) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch a.Op {
	case "enqueue":
		return r.enqueue(ctx, a)
	case "blob":
		return r.jobs.engine.Blobs().Adopt(ctx, a.Path, blob.Meta{Type: a.Type, Name: a.Name})
	default:
		return nil, problem.New("HR6009", "operation %q", a.Op).At(r.job.ID.String())
	}
}

// enqueue stores a child: it inherits the trace and the deadline of its parent.
func (r *run) enqueue(ctx context.Context, a *ask) (any, error) {
	request := Request{Function: a.Function, Args: bytes.TrimSpace(a.Args), Parent: r.job.ID, Trace: r.traced, Deadline: r.job.Expires}
	if len(request.Args) == 0 {
		request.Args = []byte("{}")
	}
	if err := request.SetOptions(a.Options); err != nil {
		return nil, err
	}
	receipts, err := r.jobs.store(ctx, []Request{request})
	if err != nil {
		return nil, err
	}
	if receipts[0].Err != nil {
		return nil, receipts[0].Err
	}
	return map[string]string{"id": receipts[0].ID.String()}, nil
}
