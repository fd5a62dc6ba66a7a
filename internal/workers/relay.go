package workers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
)

// fromServer passes frames on to the process until the connection ends.
func (r *relay) fromServer(ctx context.Context, conn net.Conn) error {
	read := frame.NewReader(conn)
	for {
		f, err := read.Next()
		if err != nil {
			return err
		}
		switch f.Kind {
		case frame.Welcome:
			r.toWorker(frame.Append(nil, frame.Welcome, 0, r.localSpool(f.Body)))
		case frame.Cancel:
			r.cancel(f)
		case frame.Task, frame.Batch:
			if bytes.Contains(f.Body, []byte(`"$blob"`)) {
				if f.Body, err = r.localBlobs(ctx, conn, f); err != nil {
					return err
				}
				if f.Body == nil {
					continue
				}
			}
			fallthrough
		default:
			r.toWorker(frame.Append(nil, f.Kind, f.Stream, f.Body))
		case frame.Drain:
			r.urge(frame.Append(nil, f.Kind, f.Stream, f.Body))
		}
	}
}

// cancel takes a step of the ladder on the process itself: 1 and 2 are frames with SIGUSR1, 3 is SIGINT, 4 SIGKILL.
func (r *relay) cancel(f frame.Frame) {
	var c struct {
		Step int `json:"step"`
	}
	_ = json.Unmarshal(f.Body, &c)
	switch c.Step {
	case 3:
		_ = r.proc.Signal(syscall.SIGINT)
	case 4:
		_ = r.proc.Signal(syscall.SIGKILL)
	default:
		r.urge(frame.Append(nil, frame.Cancel, f.Stream, f.Body))
	}
}

// heldUp is how long a write to a process may wait before a signal has its handler read.
const heldUp = 50 * time.Millisecond

// urge writes a frame to the process and has it read at once, though a task runs.
func (r *relay) urge(f []byte) {
	r.toWorker(f)
	_ = r.proc.Signal(syscall.SIGUSR1)
}

// toWorker writes a frame to the process, which may be busy with a task and not reading.
func (r *relay) toWorker(f []byte) {
	r.writing.Lock()
	defer r.writing.Unlock()
	for len(f) > 0 {
		_ = r.proc.Conn.SetWriteDeadline(time.Now().Add(heldUp))
		n, err := r.proc.Conn.Write(f)
		f = f[n:]
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) || r.proc.Signal(syscall.SIGUSR1) != nil {
				return // it is dead, which its reader notices
			}
		}
	}
}

// fromWorker passes frames on to the server until the process ends. Requests for blobs are answered here.
func (r *relay) fromWorker(conn net.Conn) {
	go func() {
		<-r.proc.Exited()
		_ = r.proc.Conn.SetReadDeadline(time.Now().Add(leftover))
	}()
	for {
		f, err := r.fromProc.Next()
		if err != nil {
			_ = r.proc.Signal(syscall.SIGKILL)
			return
		}
		if f.Kind == frame.Request {
			var ask blobRequest
			if json.Unmarshal(f.Body, &ask) == nil && ask.Op == "blob" {
				go r.putBlob(f.Stream, ask)
				continue
			}
		}
		r.proc.Drain()
		_, _ = conn.Write(frame.Append(nil, f.Kind, f.Stream, f.Body))
	}
}

func (r *relay) localSpool(body []byte) []byte {
	var welcome map[string]any
	if json.Unmarshal(body, &welcome) != nil {
		return body
	}
	welcome["spool"] = r.spool
	local, err := json.Marshal(welcome)
	if err != nil {
		return body
	}
	return local
}

// localBlobs fetches the blobs of a container and writes their paths here into it. A task whose blob cannot be had is answered
// with an error and left out; nil means that none is left.
func (r *relay) localBlobs(ctx context.Context, conn net.Conn, f frame.Frame) ([]byte, error) {
	walk := frame.WalkTasks(f.Body)
	if f.Kind == frame.Batch {
		walk = frame.WalkBatch(f.Body)
	}
	var body []byte
	var count uint32
	for walk.Next() {
		args, err := r.blobs.localize(ctx, walk.Args)
		if err != nil {
			p := problem.From(err)
			answer, err := json.Marshal(TaskError{Kind: "error", Type: p.Code, Message: p.What})
			if err != nil {
				return nil, err
			}
			if _, err := conn.Write(frame.Append(nil, frame.Error, walk.Task, answer)); err != nil {
				return nil, err
			}
			continue
		}
		count++
		if f.Kind == frame.Batch {
			body = frame.AppendItem(body, walk.Task, walk.Meta, args)
		} else {
			body = frame.AppendTask(body, walk.Task, walk.Function, walk.Meta, args)
		}
	}
	if f.Kind == frame.Batch && count > 0 {
		body = append(frame.AppendBatchHead(nil, walk.Function, count), body...)
	}
	return body, walk.Err()
}

type blobRequest struct {
	ID   uint32 `json:"id"`
	Op   string `json:"op"`
	Path string `json:"path"`
	Type string `json:"type"`
	Name string `json:"name"`
}

func (r *relay) putBlob(stream uint64, ask blobRequest) {
	reply := map[string]any{"id": ask.ID}
	blob, err := r.blobs.put(r.ctx, ask)
	if err != nil {
		p := problem.From(err)
		reply["error"] = map[string]string{"code": p.Code, "message": p.What, "hint": p.Hint}
	} else {
		reply["ok"] = blob
	}
	body, err := json.Marshal(reply)
	if err != nil {
		return
	}
	r.urge(frame.Append(nil, frame.Reply, stream, body))
}
