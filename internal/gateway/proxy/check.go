package proxy

import (
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// Check tells why a route does not pass the target of a request on, HR4001 or HR4002; nil if it does. Nobody is asked.
func Check(c *config.Route, e *config.Edit, r *exchange.Request) error {
	s, err := newHeads(c, e, nil)
	if err != nil {
		return err
	}
	host := r.Request.Header.Host()
	if err := checkHost(host); err != nil {
		return err
	}
	return s.target(&head{}, r, host)
}
