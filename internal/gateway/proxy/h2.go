package proxy

import (
	"github.com/headrace/headrace/internal/exchange"
)

func (p *proxy) serveH2(r *exchange.Request, to *way) error { return nil }
