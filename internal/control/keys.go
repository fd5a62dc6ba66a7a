package control

import (
	"context"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/problem"
)

// keyShown is an API key as the API shows it.
type keyShown struct {
	ID       string            `json:"id"`
	Key      string            `json:"key,omitempty"` // the whole, told once
	Owner    string            `json:"owner"`
	Name     string            `json:"name"`
	Scopes   []string          `json:"scopes"`
	Routes   []string          `json:"routes"`
	Quota    string            `json:"quota,omitempty"`
	Count    *int64            `json:"count,omitempty"`
	Created  time.Time         `json:"created"`
	Expires  *time.Time        `json:"expires,omitempty"`
	Used     *time.Time        `json:"used,omitempty"`
	Metadata map[string]string `json:"metadata"`
}

func (s *Server) showKey(k *keys.Key) keyShown {
	shown := keyShown{
		ID: k.ID, Owner: k.Owner, Name: k.Name, Scopes: k.Scopes, Routes: k.Routes, Quota: k.Quota.String(), Created: k.Created, Metadata: k.Metadata,
	}
	if shown.Scopes == nil {
		shown.Scopes = []string{}
	}
	if shown.Routes == nil {
		shown.Routes = []string{}
	}
	if shown.Metadata == nil {
		shown.Metadata = map[string]string{}
	}
	if !k.Expires.IsZero() {
		shown.Expires = &k.Expires
	}
	if _, u, err := s.Keys.Get(k.ID); err == nil {
		if !u.Used.IsZero() {
			shown.Used = &u.Used
		}
		if k.Quota.N > 0 {
			shown.Count = &u.Count
		}
	}
	return shown
}

// createKey answers with the key, which nobody can read later.
func (s *Server) createKey(r *exchange.Request) error {
	var asked struct {
		Owner    string            `json:"owner"`
		Name     string            `json:"name"`
		Scopes   []string          `json:"scopes"`
		Routes   []string          `json:"routes"`
		Quota    string            `json:"quota"`
		Expires  string            `json:"expires"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := s.decode(r, "HR4061", &asked); err != nil {
		return err
	}
	spec := keys.Spec{Owner: asked.Owner, Name: asked.Name, Scopes: asked.Scopes, Routes: asked.Routes, Metadata: asked.Metadata}
	var err error
	if spec.Quota, err = config.ParseRate(asked.Quota); err != nil {
		return problem.New("HR4061", "%w", err).At("/quota").Hinting("write requests and a period, as in 1000/h or 100000/30d")
	}
	if spec.Expires, err = expiry(asked.Expires); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Running(), commandTime)
	defer cancel()
	key, text, err := s.Keys.Create(ctx, spec)
	if err != nil {
		return err
	}
	shown := s.showKey(key)
	shown.Key = text
	if err := encode(r, shown); err != nil {
		return err
	}
	r.SetStatusCode(fasthttp.StatusCreated)
	r.Response.Header.Set("Location", "/v1/keys/"+url.PathEscape(key.ID))
	r.Response.Header.Set("Cache-Control", "no-store")
	return nil
}

// expiry reads a duration from now, or a time; "" is never.
func expiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(text); err == nil && d > 0 {
		return time.Now().UTC().Add(d).Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, problem.New("HR4061", "%.60q is neither a duration nor a time", text).At("/expires").Hinting("write 90d or 2030-01-31T00:00:00Z")
	}
	return at.UTC(), nil
}

func (s *Server) listKeys(r *exchange.Request) error {
	q, err := query(r, "owner")
	if err != nil {
		return err
	}
	all := s.Keys.List(q["owner"])
	list := make([]keyShown, len(all))
	for i, k := range all {
		list[i] = s.showKey(k)
	}
	return encode(r, map[string][]keyShown{"keys": list})
}

func (s *Server) key(r *exchange.Request) error {
	k, _, err := s.Keys.Get(string(r.Params[0]))
	if err != nil {
		return err
	}
	return encode(r, s.showKey(k))
}

func (s *Server) deleteKey(r *exchange.Request) error {
	ctx, cancel := context.WithTimeout(r.Running(), commandTime)
	defer cancel()
	if err := s.Keys.Delete(ctx, string(r.Params[0])); err != nil {
		return err
	}
	r.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
