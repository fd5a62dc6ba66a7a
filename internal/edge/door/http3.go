package door

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

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
	log       *slog.Logger
	visits    visits
}

// errBusy says that nothing was done and that all may be tried again.
const errBusy = quic.ApplicationErrorCode(http3.ErrCodeRequestRejected)

func newH3(c *config.Server, socket net.PacketConn, secure *tls.Config, server *exchange.Server, log *slog.Logger) (*h3, error) {
	h := &h3{exchange: server, socket: socket, transport: &quic.Transport{Conn: socket}, log: log, visits: visits{all: map[*quic.Conn]*visit{}}}
	h.server = &http3.Server{
		Handler: h.visits.around(server), MaxHeaderBytes: int(c.HTTP2.MaxHeader), IdleTimeout: c.IdleTimeout, Logger: slog.New(slog.DiscardHandler),
		ConnContext: func(ctx context.Context, conn *quic.Conn) context.Context {
			return h.visits.with(exchange.WithAddresses(ctx, conn.LocalAddr(), conn.RemoteAddr()), conn)
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
	h.serving.Go(func() { h.run(ctx) })
	return h, nil
}

func (h *h3) run(ctx context.Context) {
	for {
		conn, err := h.listener.Accept(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, quic.ErrServerClosed) {
				h.log.Error("door of HTTP/3 closed", "error", err)
			}
			return
		}
		if h.exchange.Enter() != nil {
			_ = conn.CloseWithError(errBusy, "too many connections")
			continue
		}
		h.serving.Go(func() {
			defer h.exchange.Leave()
			defer h.visits.begin(conn)()
			if err := h.server.ServeQUICConn(conn); err != nil && !errors.Is(err, http.ErrServerClosed) {
				h.log.Debug("connection with HTTP/3 ended", "remote", conn.RemoteAddr().String(), "error", err)
			}
		})
	}
}

// cutTime is how long requests may take to notice that their connection is cut.
const cutTime = time.Second

// stop tells all clients to open no more streams, waits for requests that are under way, and cuts them when ctx ends. Handlers that do not notice are left
// behind after cutTime.
func (h *h3) stop(ctx context.Context) {
	h.end()
	over := make(chan struct{})
	go func() {
		_ = h.server.Shutdown(ctx) // when ctx ends it cuts all, and waits for the handlers
		h.serving.Wait()
		close(over)
	}()
	go h.visits.dismiss(over)
	select {
	case <-over:
	case <-ctx.Done():
		select {
		case <-over:
		case <-time.After(cutTime):
			h.log.Warn("requests with HTTP/3 do not end, and are left behind")
		}
	}
	_ = h.listener.Close()
	_ = h.transport.Close()
	_ = h.socket.Close()
}
