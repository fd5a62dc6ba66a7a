package proxy

import (
	"github.com/headrace/headrace/internal/exchange"
)

func (x *passage) tunnel(r *exchange.Request) {}
