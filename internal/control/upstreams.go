package control

import "github.com/headrace/headrace/internal/exchange"

// listUpstreams tells the upstreams, their targets and how these are.
func (s *Server) listUpstreams(r *exchange.Request) error {
	list := any([]string{})
	if s.Upstreams != nil {
		list = s.Upstreams()
	}
	return encode(r, map[string]any{"upstreams": list})
}
