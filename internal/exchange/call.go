package exchange

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

const (
	patience   = 10 * time.Second       // a call waits for a worker this long if its function says nothing
	firstLook  = 200 * time.Millisecond // how soon it is looked whether the client of a call is still there
	mostStarts = 3                      // a call that was cut short before it began is started again
)

// Callable is HR2011 for a function that is a job.
func Callable(fn *functions.Function) error {
	if fn.Kind == functions.Job {
		return problem.New("HR2011", "%s is a job", fn.Name).At(fn.Name).Hinting("POST /v1/jobs/%s", fn.Name)
	}
	return nil
}

// Call runs a function now and answers with its result. A generator answers with its items as they come: as server-sent events if the
// client accepts these, otherwise one JSON document a line. If the client goes away, the function is cancelled. A timeout of 0 is the
// function's own.
func (p *Planes) Call(r *Request, fn *functions.Function, args []byte, timeout time.Duration) error {
	if err := fn.Validate(args); err != nil {
		return err
	}
	args, err := fn.Locate(args, p.Engine.Blobs())
	if err != nil {
		return err
	}
	task := &workers.Task{Function: fn.Name, Args: args, Timeout: timeout}
	if timeout == 0 {
		task.Timeout = seconds(fn.Options.Timeout)
	}
	wait := callPatience(fn, task)
	task.Meta = callMeta(r.Traceparent(), r.Caller(&p.Config.Server), task)
	if fn.Stream {
		return p.callStream(r, fn, task, wait)
	}
	c := calls.Get().(*call)
	defer c.release()
	c.planes, c.log, c.function = p, r.Log(), fn.Name
	task.Sink = c
	for starts := 1; ; starts++ {
		run, err := fn.Pool.Call(task, wait)
		if err != nil {
			return err
		}
		c.wait(r, run)
		if c.outcome.Ending != workers.Interrupted || c.outcome.Error != nil || starts == mostStarts {
			break
		}
	}
	if err := c.failure(fn); err != nil {
		return err
	}
	r.JSON(200, c.result)
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// callPatience is how long a call waits for a worker.
func callPatience(fn *functions.Function, task *workers.Task) time.Duration {
	return cmp.Or(seconds(fn.Options.QueueTimeout), task.Timeout, patience)
}

// callMeta is what the worker is told beside the arguments; nil if there is nothing to tell.
func callMeta(trace string, caller identity.Caller, task *workers.Task) []byte {
	var b []byte
	for _, member := range [...]struct{ name, text string }{{"trace", trace}, {"user", caller.User}, {"method", caller.Method}, {"client", caller.Client}} {
		if member.text != "" {
			b = append(strictjson.AppendText(append(b, ','), member.name), ':')
			b = strictjson.AppendText(b, member.text)
		}
	}
	if caller.Claims != "" {
		b = append(append(b, `,"claims":`...), caller.Claims...)
	}
	if task.Timeout > 0 {
		b = append(b, `,"deadline":`...)
		b = strconv.AppendFloat(b, float64(time.Now().Add(task.Timeout).UnixMicro())/1e6, 'f', 3, 64)
	}
	if b == nil {
		return nil
	}
	b[0] = '{'
	return append(b, '}')
}

// failure is the problem that the run ended with. Where anybody may call, what a function raises stays in the log; what it means for clients it
// says with hr.Fail.
func (c *call) failure(fn *functions.Function) error {
	o := &c.outcome
	e := o.Error
	switch o.Ending {
	case workers.Succeeded:
		return nil
	case workers.TimedOut:
		return problem.New("HR2013", "%s did not finish in time", fn.Name).At(fn.Name)
	case workers.Crashed:
		why := "its worker died"
		if d := o.Death; d != nil {
			if why = "its worker died: " + d.Reason; d.Signal != "" {
				why += " (" + d.Signal + ")"
			}
		}
		return problem.New("HR2016", "%s: %s", fn.Name, why).At(fn.Name)
	case workers.Failed:
		switch {
		case e == nil:
			return problem.New("HR2015", "%s failed", fn.Name).At(fn.Name)
		case e.Type == "HR2003":
			return problem.New("HR2003", "%s", e.Message).At(fn.Name)
		case e.Kind == "arguments":
			return problem.New("HR2002", "%s", e.Message).At("/args")
		case e.Kind == "fail":
			return problem.New("HR2020", "%w", e).At(fn.Name).Answering(e.Answer())
		case e.Kind == "unencodable":
			return problem.New("HR6006", "%s: %s", fn.Name, e.Message).At(fn.Name)
		case c.planes.Public:
			c.log.Warn("function raised", "function", fn.Name, "type", e.Type, "message", e.Message, "traceback", e.Traceback)
			return problem.New("HR2015", "%s raised an error", fn.Name).At(fn.Name)
		case e.Traceback != "":
			return problem.New("HR2015", "%s: %s\n%s", e.Type, e.Message, e.Traceback).At(fn.Name)
		}
		return problem.New("HR2015", "%s: %s", e.Type, e.Message).At(fn.Name)
	}
	if e != nil && e.Type == "HR2014" {
		return problem.New("HR2014", "%s", e.Message).At(fn.Name)
	}
	return problem.New("HR2014", "%s was cut short: its pool is stopping", fn.Name).At(fn.Name)
}

// call is the sink of one call.
type call struct {
	planes   *Planes
	log      *slog.Logger
	function string
	done     chan struct{}
	outcome  workers.Outcome
	result   []byte
	chunk    func([]byte) // nil unless it streams
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// release gives a call back; nothing may hold it, so its run must be over.
func (c *call) release() {
	*c = call{done: c.done, result: c.result[:0]}
	if cap(c.result) > 1<<20 {
		c.result = nil
	}
	calls.Put(c)
}

// wait returns when the run is over. It cancels the run if the client goes away.
func (c *call) wait(r *Request, run *workers.Run) {
	pause := firstLook
	look := time.NewTimer(pause)
	defer look.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-look.C:
			if Gone(r.Conn()) {
				run.Cancel("gone")
				<-c.done
				return
			}
			pause = min(2*pause, 2*time.Second)
			look.Reset(pause)
		}
	}
}

// Started implements workers.Sink.
func (c *call) Started(string, int) {}

// Progress implements workers.Sink. Nobody follows a call.
func (c *call) Progress([]byte) {}

// Checkpoint implements workers.Sink. A call is not repeated.
func (c *call) Checkpoint([]byte) {}

// Chunk implements workers.Sink.
func (c *call) Chunk(body []byte) {
	if c.chunk != nil {
		c.chunk(body)
	}
}

// Log implements workers.Sink: what a call prints goes to headrace's log.
func (c *call) Log(body []byte) {
	var line struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	}
	if json.Unmarshal(body, &line) != nil {
		return
	}
	level := slog.LevelInfo
	switch line.Level {
	case "debug":
		level = slog.LevelDebug
	case "warning":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, line.Text, "function", c.function)
}

// Done implements workers.Sink.
func (c *call) Done(outcome workers.Outcome) {
	c.result = append(c.result[:0], outcome.Result...)
	outcome.Result = nil
	c.outcome = outcome
	c.done <- struct{}{}
}

// Request implements workers.Sink: a call may ask for what a job may.
func (c *call) Request(body []byte, reply func([]byte)) {
	c.planes.Jobs.Answer(body, jobs.Request{}, reply)
}
