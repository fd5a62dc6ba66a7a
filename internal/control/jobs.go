package control

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// shown is a job as the API shows it.
type shown struct {
	jobs.Info
	Links map[string]string `json:"links"`
}

func show(info jobs.Info) shown {
	self := "/v1/jobs/" + info.ID
	links := map[string]string{"self": self}
	for _, rel := range []string{"result", "events", "cancel", "retry", "args", "attempts", "logs"} {
		links[rel] = self + "/" + rel
	}
	return shown{info, links}
}

func (s *Server) job(r *exchange.Request) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	info, err := s.Jobs.Get(id)
	if err != nil {
		return err
	}
	if text := string(r.QueryArgs().Peek("wait")); text != "" {
		wait, err := config.ParseDuration(text)
		if err != nil {
			return problem.New("HR2004", "wait: %w", err).At("wait").Hinting("write a number and a unit, as in 10s")
		}
		ctx, cancel := context.WithTimeout(r.Running(), wait)
		defer cancel()
		defer r.WatchClient(cancel)()
		if info, err = s.Jobs.Wait(ctx, id); err != nil {
			return err
		}
	}
	return encode(r, show(info))
}

// result answers with the JSON of the result, or with ?download with the content of the blob that it is.
func (s *Server) result(r *exchange.Request) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	if !r.QueryArgs().Has("download") {
		return s.planes.Result(r, id)
	}
	result, err := s.Jobs.Result(r.Running(), id)
	if err != nil {
		return err
	}
	digest, meta, ok := exchange.TopBlob(result)
	if !ok {
		return problem.New("HR2009", "the result of job %s is no file", id).At(id.String()).Hinting("leave out ?download to get the JSON")
	}
	return s.planes.Blob(r, digest, meta, true)
}

func (s *Server) args(r *exchange.Request) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	args, err := s.Jobs.Arguments(r.Running(), id)
	if err != nil {
		return err
	}
	r.JSON(fasthttp.StatusOK, args)
	return nil
}

func (s *Server) attempts(r *exchange.Request) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	list, err := s.Jobs.Attempts(id)
	if err != nil {
		return err
	}
	if list == nil {
		list = []jobs.Attempt{}
	}
	return encode(r, map[string]any{"attempts": list})
}

// logLine is one line that a job logged or printed.
type logLine struct {
	N      uint32          `json:"n"`
	At     time.Time       `json:"at"`
	Level  string          `json:"level"`
	Text   string          `json:"text"`
	Fields json.RawMessage `json:"fields,omitempty"`
}

// logs answers with what the job has logged until now.
func (s *Server) logs(r *exchange.Request) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	if _, err := s.Jobs.Get(id); err != nil {
		return err
	}
	now, cancel := context.WithCancel(context.Background())
	cancel() // tells what there is and does not wait for more
	lines := []logLine{}
	err = s.Jobs.Watch(now, id, 0, func(e jobs.Event) error {
		if e.Kind == "log" {
			line := logLine{N: e.N, At: e.At.UTC()}
			if err := json.Unmarshal(e.Data, &line); err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return nil
	})
	if err != nil && now.Err() == nil {
		return err
	}
	if !r.Accepts("text/plain") {
		return encode(r, map[string]any{"logs": lines})
	}
	var b []byte
	for _, line := range lines {
		b = line.At.AppendFormat(b, time.RFC3339Nano)
		b = append(append(append(append(append(append(b, ' '), line.Level...), ' '), line.Text...), string(line.Fields)...), '\n')
	}
	r.SetStatusCode(fasthttp.StatusOK)
	r.SetContentType("text/plain; charset=utf-8")
	r.Response.SetBody(b)
	return nil
}

func (s *Server) events(r *exchange.Request) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	return s.planes.Events(r, id, true)
}

func (s *Server) cancel(r *exchange.Request) error { return s.change(r, s.Jobs.Cancel) }
func (s *Server) retry(r *exchange.Request) error  { return s.change(r, s.Jobs.Retry) }

func (s *Server) change(r *exchange.Request, do func(context.Context, jobs.ID) (jobs.Info, error)) error {
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return err
	}
	info, err := do(context.Background(), id)
	if err != nil {
		return err
	}
	return encode(r, show(info))
}

// listJobs answers GET /v1/jobs, newest first.
func (s *Server) listJobs(r *exchange.Request) error {
	f, err := filter(r)
	if err != nil {
		return err
	}
	list, err := s.Jobs.List(r.Running(), f)
	if err != nil {
		return err
	}
	answer := struct {
		Jobs   []shown `json:"jobs"`
		Cursor string  `json:"cursor,omitempty"`
	}{Jobs: make([]shown, len(list))}
	for i := range list {
		answer.Jobs[i] = show(list[i])
	}
	if len(list) == f.Limit {
		last, err := jobs.ParseID(list[len(list)-1].ID)
		if err != nil {
			return err
		}
		answer.Cursor = base64.RawURLEncoding.EncodeToString(last[:])
	}
	return encode(r, answer)
}

// many does one thing to the jobs that the query selects, and tells to how many by the name of done.
func many(done string, do func(context.Context, jobs.Filter) (int, error)) func(*exchange.Request) error {
	return func(r *exchange.Request) error {
		f, err := filter(r)
		if err != nil {
			return err
		}
		n, err := do(r.Running(), f)
		if err != nil {
			return err
		}
		return encode(r, map[string]int{done: n})
	}
}

// filter reads the query of a list: HR2019 for what it does not know.
func filter(r *exchange.Request) (jobs.Filter, error) {
	f := jobs.Filter{Limit: 100}
	for name, value := range r.QueryArgs().All() {
		if err := narrow(&f, string(name), string(value)); err != nil {
			return f, err
		}
	}
	return f, nil
}

func narrow(f *jobs.Filter, name, value string) (err error) {
	bad := func(format string, args ...any) error { return problem.New("HR2019", format, args...).At(name) }
	switch name {
	case "state":
		for one := range strings.SplitSeq(value, ",") {
			state, ok := jobs.ParseState(one)
			if !ok {
				return bad("no state %.40q", one).(*problem.Error).Hinting("use waiting, scheduled, ready, running, succeeded, dead, cancelled or expired")
			}
			f.States = append(f.States, state)
		}
	case "function":
		f.Function = value
	case "queue":
		f.Queue = value
	case "tag":
		f.Tag = value
	case "key":
		f.Key = value
	case "since":
		if ago, err := config.ParseDuration(value); err == nil {
			f.Since = time.Now().Add(-ago)
		} else if f.Since, err = time.Parse(time.RFC3339Nano, value); err != nil {
			return bad("since %.40q is neither a time nor a duration", value).(*problem.Error).Hinting("write 2026-05-01T12:00:00Z or 1h")
		}
	case "cursor":
		raw, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil || len(raw) != len(f.Before) {
			return bad("the cursor is none that a list gave")
		}
		copy(f.Before[:], raw)
	case "limit":
		if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 || f.Limit > 1000 {
			return bad("limit %.40q is not a number from 1 to 1000", value).(*problem.Error).Hinting("take the next page with the cursor of the answer")
		}
	default:
		return bad("a list has no filter %.40q", name).(*problem.Error).Hinting("use state, function, queue, tag, key, since, cursor and limit")
	}
	return nil
}
