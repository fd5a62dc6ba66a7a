package door

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/http2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// h2 serves connections with HTTP/2.
type h2 struct {
	server  *http2.Server
	base    *http.Server // passes the end on to the connections
	handler http.Handler
	limits  limits
}

func newH2(c *config.Server, handler http.Handler, log *slog.Logger) (*h2, error) {
	h := &h2{handler: handler, limits: limits{resets: c.HTTP2.MaxResets, control: c.HTTP2.MaxControl, head: c.HeaderTimeout, rest: c.IdleTimeout}}
	h.server = &http2.Server{
		MaxConcurrentStreams: uint32(c.HTTP2.MaxStreams), MaxReadFrameSize: uint32(c.HTTP2.MaxFrame),
		IdleTimeout: c.IdleTimeout, WriteByteTimeout: c.IdleTimeout,
		MaxUploadBufferPerConnection: 1 << 20, MaxUploadBufferPerStream: 256 << 10,
	}
	h.base = &http.Server{Handler: handler, MaxHeaderBytes: int(c.HTTP2.MaxHeader), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	return h, http2.ConfigureServer(h.base, h.server)
}

// serve returns when the connection is done.
func (h *h2) serve(c net.Conn) error {
	defer c.Close()
	opts := &http2.ServeConnOpts{Context: exchange.WithAddresses(context.Background(), c.LocalAddr(), c.RemoteAddr()), BaseConfig: h.base, Handler: h.handler}
	g := newGuard(c, h.limits)
	if secure := (secureGuard{g}); isTLS(c) {
		h.server.ServeConn(secure, opts)
	} else {
		h.server.ServeConn(g, opts)
	}
	return nil
}

// stop tells all clients to open no more streams.
func (h *h2) stop(ctx context.Context) { _ = h.base.Shutdown(ctx) }
