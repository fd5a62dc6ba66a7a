package control

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// findFunction looks the function of the path up and refuses a body that is too large for it.
func (s *Server) findFunction(r *exchange.Request) (err error) {
	if r.Function, err = s.Functions.Get(string(r.Params[0])); err != nil {
		return err
	}
	if r.Media() == "multipart/form-data" {
		return s.fitsBlob(r)
	}
	return s.fitsJSON(r)
}

// admitEnqueue refuses before the body is read.
func (s *Server) admitEnqueue(r *exchange.Request) error {
	if err := s.findFunction(r); err != nil {
		return err
	}
	queue := r.Request.Header.PeekBytes(queueHeader)
	if len(r.URI().QueryString()) > 0 && r.QueryArgs().Has("queue") {
		queue = r.QueryArgs().Peek("queue")
	}
	return s.planes.Enqueueable(r.Function, string(queue))
}

// Names of headers in the form that needs no work.
var (
	queueHeader    = []byte("Headrace-Queue")
	locationHeader = []byte("Location")
)

// enqueue answers POST /v1/jobs/{function}.
func (s *Server) enqueue(r *exchange.Request) error {
	var wait time.Duration
	fn := r.Function
	request := jobs.Request{Function: fn.Name, Trace: r.Traceparent()}
	given, err := options(r, func(name, value string) (err error) {
		if name != "wait" {
			return request.Option(name, value)
		}
		if wait, err = config.ParseDuration(value); err != nil || wait < 0 {
			return problem.New("HR2004", "option wait: %q is not a duration", value).At("wait").Hinting("write a number and a unit, as in 10s")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if request.Args, err = s.planes.Arguments(r, fn, int64(s.Config.Admin.MaxBody)); err != nil {
		return err
	}
	if key := r.Request.Header.Peek("Idempotency-Key"); len(key) > 0 {
		request.Idempotency = string(key)
	}
	if request.Idempotency != "" {
		slices.Sort(given)
		request.Identify([]byte(strings.Join(given, "&")))
	}
	receipts, err := s.Jobs.Enqueue(context.Background(), []jobs.Request{request})
	if err == nil {
		err = receipts[0].Err
	}
	if err != nil {
		return err
	}
	if wait > 0 {
		done, err := s.await(r, receipts[0].ID, wait)
		if done || err != nil {
			return err
		}
	}
	s.accepted(r, &receipts[0])
	return nil
}

// options calls f with each option of the query and of the headers, and returns them as text.
func options(r *exchange.Request, f func(name, value string) error) (given []string, err error) {
	take := func(name, value string) {
		if err == nil {
			prefix := name + "="
			if slices.ContainsFunc(given, func(other string) bool { return strings.HasPrefix(other, prefix) }) {
				err = problem.New("HR2004", "option %s is given twice", name).At(name).Hinting("give it once, in the query or as a header")
				return
			}
			if err = f(name, value); name != "wait" && name != "idempotency_key" {
				given = append(given, prefix+value)
			}
		}
	}
	for name, value := range r.QueryArgs().All() {
		take(string(name), string(value))
	}
	for name, value := range r.Request.Header.All() {
		if rest, ok := bytes.CutPrefix(name, []byte("Headrace-")); ok {
			take(strings.ReplaceAll(strings.ToLower(string(rest)), "-", "_"), string(value))
		}
	}
	return given, err
}

// accepted answers 202.
func (s *Server) accepted(r *exchange.Request, receipt *jobs.Receipt) {
	id := receipt.ID.String()
	b := append(r.Response.Body()[:0], `{"id":"`...)
	b = append(append(b, id...), `","state":"`...)
	b = append(append(b, receipt.State.String()...), `","durability":"`...)
	b = append(append(b, s.Engine.Durability()...), '"')
	if receipt.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	b = append(appendLinks(append(b, ','), id), '}')
	r.Response.Header.SetCanonical(locationHeader, append([]byte("/v1/jobs/"), id...))
	r.JSON(fasthttp.StatusAccepted, b)
}

// appendLinks writes the member links.
func appendLinks(b []byte, id string) []byte {
	b = append(append(append(b, `"links":{"self":"/v1/jobs/`...), id...), '"')
	for _, rel := range []string{"result", "events", "cancel"} {
		b = append(append(append(b, `,"`...), rel...), `":"/v1/jobs/`...)
		b = append(append(append(append(b, id...), '/'), rel...), '"')
	}
	return append(b, '}')
}

// await answers 200 if the job ends in time.
func (s *Server) await(r *exchange.Request, id jobs.ID, wait time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(r.Running(), wait)
	defer cancel()
	defer r.WatchClient(cancel)()
	info, err := s.Jobs.Wait(ctx, id)
	if err != nil {
		return false, err
	}
	state, _ := jobs.ParseState(info.State)
	if !state.Terminal() {
		return false, nil
	}
	b := append([]byte(`{"id":"`), info.ID...)
	b = append(append(append(b, `","state":"`...), info.State...), '"')
	if state == jobs.Succeeded {
		result, err := s.Jobs.Result(ctx, id)
		if err != nil {
			return false, err
		}
		b = append(append(b, `,"result":`...), result...)
	} else if info.Error != "" {
		b = strictjson.AppendText(append(b, `,"error":`...), info.Error)
	}
	r.JSON(fasthttp.StatusOK, append(b, '}'))
	return true, nil
}

// call answers POST /v1/calls/{function}.
func (s *Server) call(r *exchange.Request) error {
	var timeout time.Duration
	fn := r.Function
	if _, err := options(r, func(name, value string) (err error) {
		if name != "timeout" {
			return problem.New("HR2004", "a call has no option %q", name).At(name).Hinting("the only option is timeout")
		}
		if timeout, err = config.ParseDuration(value); err != nil || timeout < 0 {
			return problem.New("HR2004", "option timeout: %q is not a duration", value).At(name).Hinting("write a number and a unit, as in 10s")
		}
		return nil
	}); err != nil {
		return err
	}
	args, err := s.planes.Arguments(r, fn, int64(s.Config.Admin.MaxBody))
	if err != nil {
		return err
	}
	return s.planes.Call(r, fn, args, timeout)
}

func (s *Server) admitCall(r *exchange.Request) error {
	if err := s.findFunction(r); err != nil {
		return err
	}
	return exchange.Callable(r.Function)
}

// encode answers with a value that is not on a hot path.
func encode(r *exchange.Request, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return problem.New("HR7004", "answer: %w", err)
	}
	r.JSON(fasthttp.StatusOK, body)
	return nil
}
