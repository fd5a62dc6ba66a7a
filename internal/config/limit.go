package config

// Limit is a rate of requests.
type Limit struct {
	// Requests in a time, as in 100/s or 1000/h.
	Rate Rate `yaml:"rate" required:"true"`
	// Whose requests are counted together: address, subject, key, claim:NAME, header:NAME, or route for all.
	By string `yaml:"by"`
}

func (l *Limit) defaults() { *l = Limit{By: "address"} }
