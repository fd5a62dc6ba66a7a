package control

import (
	"context"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// Upstreams are those of the gateway, as operators see and steer them.
type Upstreams struct {
	Status  func() any                                   // a list, as JSON
	Replace func(ctx context.Context, name string) error // the processes of a service: HR4024, HR4025
}

// listUpstreams tells the upstreams, their targets and how these are.
func (s *Server) listUpstreams(r *exchange.Request) error {
	list := any([]string{})
	if s.Upstreams.Status != nil {
		list = s.Upstreams.Status()
	}
	return encode(r, map[string]any{"upstreams": list})
}

// replaceUpstream starts the processes of a service again, one after the other.
func (s *Server) replaceUpstream(r *exchange.Request) error {
	name := string(r.Params[0])
	if s.Upstreams.Replace == nil {
		return problem.New("HR4024", "no service %.100q", name).At(name)
	}
	ctx, cancel, err := bound(r)
	if err != nil {
		return err
	}
	defer cancel()
	if err := s.Upstreams.Replace(ctx, name); err != nil {
		return err
	}
	return encode(r, map[string]string{"replaced": name})
}
