package exchange

import (
	"context"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// mostUnread bounds the bytes that a generator may be ahead of its client. One that is further ahead is cancelled.
const mostUnread = 4 << 20

// items are what a generator gave and its client did not get yet.
type items struct {
	mu       sync.Mutex
	list     [][]byte
	bytes    int
	overflow bool
	more     chan struct{} // holds one entry if the list may not be empty
}

func (i *items) put(body []byte) {
	i.mu.Lock()
	if i.bytes += len(body); i.bytes > mostUnread {
		i.overflow = true
	} else {
		i.list = append(i.list, append([]byte(nil), body...))
	}
	i.mu.Unlock()
	i.wake()
}

func (i *items) wake() {
	select {
	case i.more <- struct{}{}:
	default:
	}
}

func (i *items) take() ([][]byte, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.list
	i.list, i.bytes = nil, 0
	return list, i.overflow
}

// callStream runs a generator. The status waits for the first item, so that an error before it is an ordinary problem.
func (p *Planes) callStream(r *Request, fn *functions.Function, task *workers.Task, wait time.Duration) error {
	given := &items{more: make(chan struct{}, 1)}
	c := &call{planes: p, log: r.Log(), function: fn.Name, done: make(chan struct{}, 1), chunk: given.put}
	task.Sink = c
	run, err := fn.Pool.Call(task, wait)
	if err != nil {
		return err
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	over := false
	for waiting := true; waiting; {
		select {
		case <-given.more:
			given.wake()
			waiting = false
		case <-c.done:
			if err := c.failure(fn); err != nil && len(given.list) == 0 {
				return err
			}
			over, waiting = true, false
		case <-look.C:
			if Gone(r.Conn()) {
				run.Cancel("gone")
			}
		}
	}
	media := "application/x-ndjson"
	if r.Accepts("text/event-stream") {
		media = "text/event-stream"
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	r.stream(media, func(ctx context.Context, s *outlet) {
		write := func(kind string, body []byte) error {
			return s.write(func(b []byte) []byte {
				if media == "text/event-stream" {
					return appendEvent(b, 0, kind, body)
				}
				if kind == "error" {
					return append(append(append(b, `{"error":`...), body...), "}\n"...)
				}
				return append(append(b, body...), '\n')
			})
		}
		hand := func() error {
			list, overflow := given.take()
			for _, body := range list {
				if err := write("chunk", body); err != nil {
					return err
				}
			}
			if overflow {
				return problem.New("HR2013", "%s is %d bytes ahead of its client", fn.Name, mostUnread)
			}
			return nil
		}
		var err error
		for !over && err == nil {
			select {
			case <-given.more:
				err = hand()
			case <-c.done:
				over = true
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if !over {
			run.Cancel("gone")
			<-c.done
		} else if err = hand(); err == nil {
			err = c.failure(fn)
		}
		if err != nil && ctx.Err() == nil {
			_ = write("error", AppendProblem(nil, err))
		}
	})
	return nil
}
