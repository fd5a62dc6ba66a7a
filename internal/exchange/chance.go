package exchange

// Chance is one of the upstreams that a request may be passed to.
type Chance struct {
	Upstream string  `json:"upstream"`
	Part     float64 `json:"part"` // of requests like this one, from 0 to 1
	Why      string  `json:"why"`
}
