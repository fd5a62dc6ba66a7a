package door

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// h3 serves connections with HTTP/3.
type h3 struct {
	server    *http3.Server
	transport *quic.Transport
	listener  *quic.Listener
	exchange  *exchange.Server
	socket    net.PacketConn
	serving   sync.WaitGroup
	end       context.CancelFunc
}

// errBusy says that nothing was done and that all may be tried again.
const errBusy = quic.ApplicationErrorCode(http3.ErrCodeRequestRejected)

func newH3(c *config.Server, socket net.PacketConn, secure *tls.Config, server *exchange.Server, log *slog.Logger) (*h3, error) {
	h := &h3{exchange: server, socket: socket, transport: &quic.Transport{Conn: socket}}
	h.server = &http3.Server{
		Handler: server, MaxHeaderBytes: int(c.HTTP2.MaxHeader), IdleTimeout: c.IdleTimeout, Logger: slog.New(slog.DiscardHandler),
		ConnContext: func(ctx context.Context, conn *quic.Conn) context.Context {
			return exchange.WithAddresses(ctx, conn.LocalAddr(), conn.RemoteAddr())
		},
	}
	var err error
	h.listener, err = h.transport.Listen(secure, &quic.Config{
		HandshakeIdleTimeout: c.HeaderTimeout, MaxIdleTimeout: c.IdleTimeout, MaxIncomingStreams: int64(c.HTTP2.MaxStreams), MaxIncomingUniStreams: 16,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.end = cancel
	h.serving.Go(func() { h.run(ctx, log) })
	return h, nil
}

func (h *h3) run(ctx context.Context, log *slog.Logger) {
	for {
		conn, err := h.listener.Accept(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, quic.ErrServerClosed) {
				log.Error("door of HTTP/3 closed", "error", err)
			}
			return
		}
		if h.exchange.Enter() != nil {
			_ = conn.CloseWithError(errBusy, "too many connections")
			continue
		}
		h.serving.Go(func() {
			defer h.exchange.Leave()
			if err := h.server.ServeQUICConn(conn); err != nil && !errors.Is(err, http.ErrServerClosed) {
				log.Debug("connection with HTTP/3 ended", "remote", conn.RemoteAddr().String(), "error", err)
			}
		})
	}
}

// stop tells all clients to open no more streams, waits for those that are open, and cuts them when ctx ends.
func (h *h3) stop(ctx context.Context) {
	h.end()
	if h.server.Shutdown(ctx) != nil {
		_ = h.server.Close()
	}
	_ = h.listener.Close()
	_ = h.transport.Close()
	_ = h.socket.Close()
	h.serving.Wait()
}
