package control

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

func (s *Server) admitMany(r *exchange.Request) error {
	if media := r.Media(); media != "application/x-ndjson" && !r.IsJSON() {
		return problem.New("HR1008", "the body is %.80q", media).Hinting("send application/json or application/x-ndjson")
	}
	if err := s.fitsJSON(r); err != nil {
		return err
	}
	return s.Engine.Admit()
}

// item is one entry of a request for many jobs.
type item struct {
	request jobs.Request
	ref     string
	refs    []string // of the entries that it comes after
	parts   []int    // their positions
	receipt jobs.Receipt
	stored  bool
}

// enqueueMany answers POST /v1/jobs. An array that is not JSON is refused as a whole, everything else is the matter of one entry.
func (s *Server) enqueueMany(r *exchange.Request) error {
	body, done, err := r.Borrow(int64(s.Config.Server.MaxJSON))
	if err != nil {
		return err
	}
	defer done()
	items, err := s.split(body, r.Media() == "application/x-ndjson")
	if err != nil {
		return err
	}
	refs := map[string]int{}
	trace := r.Traceparent()
	for i := range items {
		it := &items[i]
		it.request.Trace = trace
		if it.receipt.Err == nil && it.ref != "" {
			if _, there := refs[it.ref]; there {
				it.receipt.Err = problem.New("HR2004", "two entries have the ref %q", it.ref).At("ref")
			} else {
				refs[it.ref] = i
			}
		}
	}
	for i := range items {
		items[i].resolve(refs)
	}
	if err := s.waves(items); err != nil {
		return err
	}
	s.results(r, items)
	return nil
}

// split takes the body apart.
func (s *Server) split(body []byte, lines bool) (items []item, err error) {
	scan := strictjson.New(body, s.depth)
	next := func() (*item, error) {
		if len(items) == s.Config.Jobs.MaxJobsPerRequest {
			return nil, problem.New("HR1003", "more than %d jobs in one request", len(items)).Hinting("send several requests, or raise jobs.max_jobs_per_request")
		}
		items = append(items, item{})
		return &items[len(items)-1], nil
	}
	if lines {
		for line := scan.Line(); line != nil; line = scan.Line() {
			it, err := next()
			if err != nil {
				return nil, err
			}
			if err = s.entry(line, it); err == nil {
				err = line.End()
			}
			if err != nil {
				*it = item{receipt: jobs.Receipt{Err: err}}
			}
		}
		return items, nil
	}
	err = scan.Array(func() error {
		it, err := next()
		if err != nil {
			return err
		}
		return s.entry(scan, it)
	})
	if err == nil {
		err = scan.End()
	}
	return items, err
}

// entry reads one entry. What it returns is wrong with the JSON; what is wrong with the entry is in its receipt.
func (s *Server) entry(scan *strictjson.Scanner, it *item) error {
	var options []byte
	bad := func(err error) {
		if it.receipt.Err == nil {
			it.receipt.Err = err
		}
	}
	text := func(to *string, name string) error {
		if scan.Next() != '"' {
			bad(problem.New("HR2004", "%s must be a string", name).At(name))
			_, err := scan.Value()
			return err
		}
		value, err := scan.Text()
		*to = string(value)
		return err
	}
	err := scan.Object(func(key []byte) (err error) {
		switch string(key) {
		case "function":
			return text(&it.request.Function, "function")
		case "args":
			value, err := scan.Value()
			if len(value) == 0 || value[0] != '{' {
				bad(problem.New("HR2002", "the arguments must be a JSON object").At("/args"))
			}
			it.request.Args = bytes.Clone(value)
			return err
		case "options":
			options, err = scan.Value()
			return err
		case "idempotency_key":
			return text(&it.request.Idempotency, "idempotency_key")
		case "ref":
			return text(&it.ref, "ref")
		case "after":
			return it.after(scan, bad)
		default:
			bad(problem.New("HR2004", "an entry has no member %.60q", key).At(string(key)).
				Hinting("an entry has function, args, options, idempotency_key, ref and after"))
			_, err = scan.Value()
			return err
		}
	})
	if err != nil || it.receipt.Err != nil {
		return err
	}
	if it.request.Function == "" {
		bad(problem.New("HR2004", "an entry names no function").At("function"))
		return nil
	}
	if it.request.Args == nil {
		it.request.Args = []byte("{}")
	}
	if err := it.request.SetOptions(options); err != nil {
		bad(err)
		return nil
	}
	if it.request.Idempotency != "" {
		it.request.Identify(functions.Canonical(options))
	}
	if fn := s.Functions.Find(it.request.Function); fn != nil && len(fn.Blobs) > 0 {
		if err := s.planes.Hold(fn, it.request.Args); err != nil {
			bad(err)
		}
	}
	return nil
}

// after reads the member after: a list of ids and of refs, which begin with @.
func (it *item) after(scan *strictjson.Scanner, bad func(error)) error {
	if scan.Next() != '[' {
		bad(problem.New("HR2004", "after must be a list").At("after"))
		_, err := scan.Value()
		return err
	}
	return scan.Array(func() error {
		if scan.Next() != '"' {
			bad(problem.New("HR2004", "after must be a list of strings").At("after"))
			_, err := scan.Value()
			return err
		}
		text, err := scan.Text()
		if err != nil {
			return err
		}
		if ref, ok := strings.CutPrefix(string(text), "@"); ok {
			it.refs = append(it.refs, ref)
			it.request.After = append(it.request.After, jobs.ID{}) // its id is not known yet
			return nil
		}
		id, err := jobs.ParseID(string(text))
		if err != nil {
			bad(err)
		}
		it.request.After = append(it.request.After, id)
		return nil
	})
}

// resolve turns refs into positions.
func (it *item) resolve(refs map[string]int) {
	for _, ref := range it.refs {
		i, ok := refs[ref]
		if !ok && it.receipt.Err == nil {
			it.receipt.Err = problem.New("HR2007", "no entry of this request has the ref %q", ref).At("after")
		}
		it.parts = append(it.parts, i)
	}
}

// waves stores the entries, those that come after others of the same request once these have their ids.
func (s *Server) waves(items []item) error {
	var wave []*item
	var requests []jobs.Request
	for {
		wave, requests = wave[:0], requests[:0]
		for i := range items {
			it := &items[i]
			if !it.stored && it.receipt.Err == nil && it.ready(items) {
				wave, requests = append(wave, it), append(requests, it.request)
			}
		}
		if len(wave) == 0 {
			break
		}
		receipts, err := s.Jobs.Enqueue(context.Background(), requests)
		if err != nil {
			return err
		}
		for i, it := range wave {
			it.receipt, it.stored = receipts[i], true
		}
	}
	for i := range items {
		if it := &items[i]; !it.stored && it.receipt.Err == nil {
			it.receipt.Err = problem.New("HR2004", "the entries that it comes after come after it").At("after")
		}
	}
	return nil
}

// ready tells whether all that the entry comes after is stored, and takes over the ids.
func (it *item) ready(items []item) bool {
	for n, i := range it.parts {
		part := &items[i]
		if part.receipt.Err != nil {
			it.receipt.Err = problem.New("HR2007", "the entry %q that it comes after was refused", it.refs[n]).At("after")
			return false
		}
		if !part.stored {
			return false
		}
	}
	if len(it.parts) > 0 {
		ids, n := slices.Clone(it.request.After), 0
		for i, id := range ids {
			if id == (jobs.ID{}) {
				ids[i] = items[it.parts[n]].receipt.ID
				n++
			}
		}
		it.request.After = ids
	}
	return true
}

// results answers with one result for each entry in order: 202 if all were accepted, otherwise 207.
func (s *Server) results(r *exchange.Request, items []item) {
	status := fasthttp.StatusAccepted
	b := append(r.Response.Body()[:0], `{"durability":"`...)
	b = append(append(b, s.Engine.Durability()...), `","jobs":[`...)
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		receipt := &items[i].receipt
		if receipt.Err != nil {
			status = fasthttp.StatusMultiStatus
			b = append(exchange.AppendProblem(append(b, `{"error":`...), receipt.Err), '}')
			continue
		}
		b = append(append(append(b, `{"id":"`...), receipt.ID.String()...), `","state":"`...)
		b = append(append(b, receipt.State.String()...), '"')
		if receipt.Duplicate {
			b = append(b, `,"duplicate":true`...)
		}
		b = append(b, '}')
	}
	r.JSON(status, append(b, "]}"...))
}
