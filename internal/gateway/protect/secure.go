package protect

import (
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// Secure adds headers that tell browsers to be careful to answers that do not have them; X-Content-Type-Options: nosniff is always among them.
func Secure(c *config.Secure) exchange.Policy {
	type header struct{ name, value string }
	list := []header{{"X-Content-Type-Options", "nosniff"}}
	for _, h := range []header{{"X-Frame-Options", c.Frame}, {"Referrer-Policy", c.Referrer}, {"Content-Security-Policy", c.Content}} {
		if h.value != "" {
			list = append(list, h)
		}
	}
	return exchange.Policy{Finish: func(r *exchange.Request) {
		h := &r.Response.Header
		for i := range list {
			if len(h.Peek(list[i].name)) == 0 {
				h.Set(list[i].name, list[i].value)
			}
		}
		if c.HSTS != "" && r.Secure() && len(h.Peek("Strict-Transport-Security")) == 0 {
			h.Set("Strict-Transport-Security", c.HSTS)
		}
	}}
}
