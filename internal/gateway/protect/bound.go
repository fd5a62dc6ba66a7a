package protect

import (
	"sync/atomic"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// Addresses refuses clients by their address: HR4055. What is denied is looked at before what is allowed; an empty allow is all.
func Addresses(allow, deny []string) (exchange.Policy, error) {
	allowed, err := config.ParsePrefixes(allow)
	if err != nil {
		return exchange.Policy{}, err
	}
	denied, err := config.ParsePrefixes(deny)
	if err != nil {
		return exchange.Policy{}, err
	}
	return exchange.Policy{Admit: func(r *exchange.Request) error {
		client := r.Client().WithZone("")
		if denied.Contains(client) || len(allowed) > 0 && !allowed.Contains(client) {
			return problem.New("HR4055", "requests from %s are not taken", client)
		}
		return nil
	}}, nil
}

// MaxConcurrent refuses requests over n that are under way: HR4057. A request is under way until its answer is written, or has become a tunnel. The count
// is of the policy: routes with policies of their own do not share it, and a reload that makes new ones begins anew.
func MaxConcurrent(n int) exchange.Policy {
	var running atomic.Int64
	done := func(exchange.Outcome) { running.Add(-1) }
	return exchange.Policy{Admit: func(r *exchange.Request) error {
		if running.Add(1) > int64(n) {
			running.Add(-1)
			return problem.New("HR4057", "%d requests are under way", n)
		}
		r.OnDone(done)
		return nil
	}}
}

// MaxBody refuses bodies of more than size: HR1003. Those that announce it are refused before they are read; the others by who reads them, with size as
// their limit if their own is larger.
func MaxBody(size config.Size) exchange.Policy {
	return exchange.Policy{Admit: func(r *exchange.Request) error { return r.Bound(int64(size)) }}
}
