package door

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"golang.org/x/net/http2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/h2"
)

// h2Door serves connections with HTTP/2.
type h2Door struct {
	server *h2.Server
	limits limits
}

func newHTTP2(c *config.Server, to *exchange.Server, log *slog.Logger) *h2Door {
	return &h2Door{
		limits: limits{resets: c.HTTP2.MaxResets, control: c.HTTP2.MaxControl, head: c.HeaderTimeout, rest: c.IdleTimeout},
		server: h2.New(h2.Options{
			Handler: to, MaxStreams: c.HTTP2.MaxStreams, MaxFrame: int(c.HTTP2.MaxFrame), MaxHeader: int(c.HTTP2.MaxHeader), IdleTimeout: c.IdleTimeout, Log: log,
		}),
	}
}

// serve returns when the connection is done.
func (h *h2Door) serve(c net.Conn) error {
	defer c.Close()
	var state *tls.ConnectionState
	if secure, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
		s := secure.ConnectionState()
		state = &s
	}
	h.server.Serve(exchange.WithAddresses(context.Background(), c.LocalAddr(), c.RemoteAddr()), newGuard(c, h.limits, func() { h.server.Fault(c.RemoteAddr(), http2.ErrCodeEnhanceYourCalm) }), state)
	return nil
}

// stop tells all clients to open no more streams.
func (h *h2Door) stop(ctx context.Context) { h.server.Drain(ctx) }
