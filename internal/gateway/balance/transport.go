package balance

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// pingAfter is the silence after which a connection that has streams is asked whether it is still there.
const pingAfter = 30 * time.Second

// newTransport speaks HTTP/2 only: with prior knowledge where there is no TLS.
func newTransport(t *Target) http.RoundTripper {
	c := t.upstream.cfg
	return &http2.Transport{
		AllowHTTP: true, DisableCompression: true, TLSClientConfig: t.tls,
		MaxHeaderListSize: uint32(c.MaxHead), IdleConnTimeout: c.Connections.KeepAlive,
		ReadIdleTimeout: pingAfter, PingTimeout: c.Timeout.Connect, WriteByteTimeout: c.Timeout.Idle,
		DialTLSContext: func(ctx context.Context, _, _ string, cfg *tls.Config) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, c.Timeout.Connect)
			defer cancel()
			plain, err := (&net.Dialer{}).DialContext(ctx, t.network, t.dial)
			if err != nil {
				return nil, err
			}
			t.dialed.Add(1)
			counted := &counted{Conn: plain, target: t}
			if t.tls == nil {
				return counted, nil
			}
			conn := tls.Client(counted, cfg)
			if err := conn.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			if got := conn.ConnectionState().NegotiatedProtocol; got != http2.NextProtoTLS {
				_ = conn.Close()
				return nil, errNoHTTP2
			}
			return conn, nil
		},
	}
}

var errNoHTTP2 = &net.OpError{Op: "dial", Err: errProtocol("the target does not speak HTTP/2")}

type errProtocol string

func (e errProtocol) Error() string { return string(e) }

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	target *Target
	once   sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.target.dialed.Add(-1) })
	return c.Conn.Close()
}
