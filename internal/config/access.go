package config

// Access is the log of requests: a line of JSON each.
type Access struct {
	// Share of the requests that are logged, 0 to 1. Those that fail with 500 or more always are, unless it is 0.
	Sample float64 `yaml:"sample" min:"0" max:"1"`
	// Headers of the request that are logged; the values of Authorization, Cookie and the like never are.
	Headers []string `yaml:"headers"`
	// Parameters of the query whose values are left out, beside token, key, secret, password and the like.
	Redact []string `yaml:"redact"`
}

func (a *Access) defaults() { *a = Access{Sample: 1} }
