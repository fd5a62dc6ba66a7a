package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// addFollow adds the pages of a job. All need the token of the answer that accepted it.
func (s *Server) addFollow(add func(method, pattern, target string, serve exchange.Handler)) {
	for _, page := range []struct {
		method, pattern string
		serve           func(*exchange.Request, jobs.ID) error
	}{
		{"GET", "/jobs/{id}", s.job},
		{"GET", "/jobs/{id}/events", func(r *exchange.Request, id jobs.ID) error { return s.planes.Events(r, id, false) }},
		{"GET", "/jobs/{id}/result", s.result},
		{"GET", "/jobs/{id}/files/{digest}", s.file},
		{"POST", "/jobs/{id}/cancel", s.cancel},
	} {
		add(page.method, page.pattern, "job", func(r *exchange.Request) error {
			id, err := s.follower(r)
			if err != nil {
				return err
			}
			return page.serve(r, id)
		})
	}
}

// follower is the job that the request may see: HR1005 without a token, HR1006 with a wrong one.
func (s *Server) follower(r *exchange.Request) (jobs.ID, error) {
	token := token(r)
	if len(token) == 0 {
		return jobs.ID{}, problem.New("HR1005", "this page needs the token of its follow link")
	}
	id, err := jobs.ParseID(string(r.Params[0]))
	if err != nil {
		return id, problem.New("HR1006", "the follow token is not one for this job")
	}
	return id, s.key.check(id, token)
}

// Follows is nil if the token is that of a follow link of the job, which has not expired; otherwise HR1006.
func (s *Server) Follows(id jobs.ID, token string) error { return s.key.check(id, []byte(token)) }

// token comes in the query, since an EventSource sends no headers, or as a bearer token.
func token(r *exchange.Request) []byte {
	if token := r.QueryArgs().Peek("token"); len(token) > 0 {
		return token
	}
	token, ok := bytes.CutPrefix(r.Request.Header.Peek("Authorization"), []byte("Bearer "))
	if !ok {
		return nil
	}
	return token
}

// page is what the public sees of a job: nothing about where and how it runs.
type page struct {
	ID       string          `json:"id"`
	State    string          `json:"state"`
	Attempt  int             `json:"attempt"`
	Created  time.Time       `json:"created"`
	RunAt    time.Time       `json:"run_at,omitzero"`
	Started  time.Time       `json:"started,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
	Progress json.RawMessage `json:"progress,omitempty"`
	Error    string          `json:"error,omitempty"`
	Links    json.RawMessage `json:"links"`
}

func (s *Server) show(r *exchange.Request, info jobs.Info) error {
	r.Response.Header.Set("Cache-Control", "no-store")
	return encode(r, page{
		info.ID, info.State, info.Attempt, info.Created, info.RunAt, info.Started, info.Finished, info.Progress, info.Error,
		json.RawMessage(links(info.ID, string(token(r)))),
	})
}

func encode(r *exchange.Request, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return problem.New("HR7004", "answer: %w", err)
	}
	r.JSON(200, body)
	return nil
}

func (s *Server) job(r *exchange.Request, id jobs.ID) error {
	info, err := s.Jobs.Get(id)
	if err != nil {
		return err
	}
	return s.show(r, info)
}

func (s *Server) cancel(r *exchange.Request, id jobs.ID) error {
	info, err := s.Jobs.Cancel(context.Background(), id)
	if err != nil {
		return err
	}
	return s.show(r, info)
}

// result answers with the result; each blob in it has an href that gives its content.
func (s *Server) result(r *exchange.Request, id jobs.ID) error {
	result, err := s.Jobs.Result(r.Running(), id)
	if err != nil {
		return err
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	if !bytes.Contains(result, []byte("$blob")) {
		r.JSON(200, result)
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(result))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return problem.New("HR7004", "result of job %s: %w", id, err)
	}
	reference(value, "/jobs/"+id.String()+"/files/", "?token="+string(token(r)))
	return encode(r, value)
}

// reference gives each blob its address.
func reference(value any, before, after string) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			reference(item, before, after)
		}
	case map[string]any:
		for _, member := range value {
			reference(member, before, after)
		}
		text, _ := value["$blob"].(string)
		if digest, err := blob.ParseDigest(text); err == nil {
			value["href"] = before + string(digest) + after
		}
	}
}

// file answers with the content of a blob that the result holds, and of no other.
func (s *Server) file(r *exchange.Request, id jobs.ID) error {
	result, err := s.Jobs.Result(r.Running(), id)
	if err != nil {
		return err
	}
	meta, ok := exchange.Digests(result)[blob.Digest(r.Params[1])]
	if !ok {
		return problem.New("HR5006", "the result of job %s holds no such file", id).At(id.String()).Hinting("use an href of the result")
	}
	return s.planes.Blob(r, meta.Digest, meta, r.QueryArgs().Has("download"))
}
