// Package door opens the public doors: plain, with TLS, and for HTTP/3. HTTP/1.1, HTTP/2 and HTTP/3 lead to the same exchange.
package door

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/certs"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/observe"
)

// Options say what the doors lead to.
type Options struct {
	Config    *config.Config   // its section server
	Exchange  exchange.Options // of all doors; the addresses and bounds are those of Config
	Engine    *engine.Engine   // keeps the certificates of ACME; nil without ACME
	Health    *observe.Health  // nil tells nobody
	Log       *slog.Logger
	Listeners Listeners // sockets that are open already, as those of a process before this one
}

// Doors are the public doors. A configuration without TLS, h2c and proxy_protocol has one, and nothing stands between it and fasthttp.
type Doors struct {
	Options
	// Metrics are the figures of all doors.
	Metrics *exchange.Metrics

	server    *exchange.Server
	certs     *certs.Set // nil without TLS
	terms     atomic.Pointer[terms]
	balancers []netip.Prefix
	port      int    // of the door with TLS, as clients see it
	altSvc    string // value of the header; empty without HTTP/3
	h2        *h2    // nil without HTTP/2
	h3        *h3    // nil without HTTP/3
	stop      sync.Once
}

// New makes the doors; Start opens them. Certificates are read here: HR4032 if one cannot be used, HR4034 if those of ACME cannot be kept.
func New(ctx context.Context, o Options) (*Doors, error) {
	c := &o.Config.Server
	d := &Doors{Options: o}
	for _, text := range c.ProxyProtocol {
		p, err := config.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		d.balancers = append(d.balancers, p)
	}
	if c.TLS != nil {
		var err error
		if d.certs, err = certs.New(ctx, c.TLS, certs.Deps{Engine: o.Engine, Health: o.Health, Log: o.Log}); err != nil {
			return nil, err
		}
		t, err := newTerms(c.TLS, d.certs)
		if err != nil {
			return nil, err
		}
		d.terms.Store(t)
	}
	e := o.Exchange
	e.Listen, e.HeaderTimeout, e.IdleTimeout, e.MaxConnections = c.Listen, c.HeaderTimeout, c.IdleTimeout, c.MaxConnections
	d.around(&e)
	d.server = exchange.NewServer(e)
	d.Metrics = d.server.Metrics
	if c.TLS != nil || c.H2C {
		var err error
		if d.h2, err = newH2(c, d.server, o.Log); err != nil {
			return nil, err
		}
		d.server.Protocol(http2.NextProtoTLS, d.h2.serve)
		d.server.Protocol(acmeProtocol, func(c net.Conn) error { return c.Close() }) // the handshake was all
	}
	return d, nil
}

// Start opens the doors: HR9004 if it cannot listen. It does not wait for requests or certificates.
func (d *Doors) Start() error {
	c := &d.Config.Server
	if err := d.Listeners.listen(c); err != nil {
		d.Listeners.close()
		return err
	}
	plain := exchange.Door{Listener: d.Listeners.Plain}
	if c.H2C || len(d.balancers) > 0 {
		plain.Greet = func(conn net.Conn) (net.Conn, error) { return d.greet(conn, c.H2C) }
	}
	if c.TLS == nil {
		d.server.Open(plain)
		return nil
	}
	d.publish()
	secure := exchange.Door{Listener: d.Listeners.Secure, TLS: d.tcp()}
	if len(d.balancers) > 0 {
		secure.Greet = func(conn net.Conn) (net.Conn, error) { return d.greet(conn, false) }
	}
	if c.TLS.HTTP3 {
		var err error
		if d.h3, err = newH3(c, d.Listeners.QUIC, d.quic(), d.server, d.Log); err != nil {
			d.Listeners.close()
			return cannot("server.tls.listen", d.Listeners.QUIC.LocalAddr().String(), err)
		}
	}
	d.server.Open(plain)
	d.server.Open(secure)
	return d.certs.Start(d.Listeners.Plain.Addr(), d.Listeners.Secure.Addr())
}

// Configure reads certificates and authorities of clients again. Connections stay as they are. With an error, HR4032, nothing changes. Other
// keys of section server take a restart.
func (d *Doors) Configure(c *config.Config) error {
	if d.certs == nil || c.Server.TLS == nil {
		return nil
	}
	t, err := newTerms(c.Server.TLS, d.certs)
	if err != nil {
		return err
	}
	if err := d.certs.Configure(c.Server.TLS); err != nil {
		return err
	}
	d.terms.Store(t)
	return nil
}

// Addr is the address of the plain door; nil before Start.
func (d *Doors) Addr() net.Addr { return address(d.Listeners.Plain) }

// SecureAddr is the address of the door with TLS; nil before Start and without TLS.
func (d *Doors) SecureAddr() net.Addr { return address(d.Listeners.Secure) }

func address(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// Stop opens no more connections, tells clients so, ends streams, lets other requests finish, and cuts what is left when ctx ends. Only the
// first call does.
func (d *Doors) Stop(ctx context.Context) (err error) {
	d.stop.Do(func() {
		if d.certs != nil {
			d.certs.Stop()
		}
		var others sync.WaitGroup
		if d.h3 != nil {
			others.Go(func() { d.h3.stop(ctx) })
		}
		if d.h2 != nil {
			others.Go(func() { d.h2.stop(ctx) })
		}
		err = d.server.Stop(ctx)
		others.Wait()
	})
	return err
}
