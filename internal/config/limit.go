package config

// Limit is a rate of requests. What it counts lives on when the configuration is loaded again.
type Limit struct {
	// Requests in a time, as in 100/s or 1000/h.
	Rate Rate `yaml:"rate" required:"true"`
	// Requests that may come at once after a pause; 0 is the count of rate. Only token_bucket has one.
	Burst int `yaml:"burst" min:"0" max:"1000000000"`
	// How it counts: token_bucket refills steadily and allows a burst, sliding_window never lets more than the count of rate pass in any
	// time that is as long as that of rate.
	Algorithm string `yaml:"algorithm" enum:"token_bucket,sliding_window"`
	// Whose requests are counted together: address (IPv6 by its /64), subject, key, claim:NAME, header:NAME, route, all, or several joined
	// by + as in subject+route. Who has no subject, key, claim or header is counted by address.
	By string `yaml:"by"`
	// Name that clients, metrics and other planes know it by. Limits with one name share what they count over all routes, live connections
	// and jobs, and must be alike. Empty: the limit is of its route alone.
	Name string `yaml:"name"`
	// Count over all nodes, and over restarts, in the engine. A node takes a twentieth of the burst at a time, so that all nodes together
	// may pass the limit by a twentieth of the burst each. Only token_bucket can be shared.
	Shared bool `yaml:"shared"`
	// Methods that are counted; empty is all.
	Methods []string `yaml:"methods"`
}

func (l *Limit) defaults() { *l = Limit{By: "address", Algorithm: "token_bucket"} }
