// Package door opens the public doors: plain, with TLS, and for HTTP/3. HTTP/1.1, HTTP/2 and HTTP/3 lead to the same exchange.
package door

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/certs"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/h2"
	"github.com/headrace/headrace/internal/observe"
)

// Options say what the doors lead to.
type Options struct {
	Config   *config.Config   // its section server
	Exchange exchange.Options // of all doors; addresses and bounds are those of Config
	Engine   *engine.Engine   // keeps the certificates of ACME; nil without ACME
	Health   *observe.Health  // nil is told nothing
	Log      *slog.Logger
	Sockets  Sockets // nil opens new ones
}

// Doors are the public doors. Where there is neither h2c nor proxy_protocol, nothing stands between the plain one and fasthttp.
type Doors struct {
	Options
	// Server is the exchange that all doors lead to.
	Server *exchange.Server

	listeners Listeners
	certs     *certs.Set // nil without TLS and before Start
	terms     atomic.Pointer[terms]
	balancers config.Prefixes
	port      int     // of the door with TLS, as clients see it
	altSvc    string  // value of the header; empty without HTTP/3
	h2        *h2Door // nil without HTTP/2
	h3        *h3     // nil without HTTP/3
	stop      sync.Once
}

// New makes the doors; Start opens them.
func New(o Options) *Doors {
	c := &o.Config.Server
	if o.Sockets == nil {
		o.Sockets = fresh{}
	}
	d := &Doors{Options: o}
	d.balancers, _ = config.ParsePrefixes(c.ProxyProtocol) // the configuration is checked
	e := o.Exchange
	e.Listen, e.HeaderTimeout, e.IdleTimeout, e.MaxConnections = c.Listen, c.HeaderTimeout, c.IdleTimeout, c.MaxConnections
	d.around(&e)
	d.Server = exchange.NewServer(e)
	return d
}

// Start reads the certificates and opens the doors: HR4032 if a certificate cannot be used, HR4034 if those of ACME cannot be kept, HR9004
// if it cannot listen. It does not wait for requests, nor for the certificates of ACME.
func (d *Doors) Start(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	c := &d.Config.Server
	if err := d.listeners.listen(c, d.Sockets); err != nil {
		d.listeners.close()
		return err
	}
	plain := exchange.Door{Listener: d.listeners.Plain}
	if c.H2C || len(d.balancers) > 0 {
		plain.Greet = func(conn net.Conn) (net.Conn, error) { return d.greet(conn, c.H2C) }
	}
	if c.TLS == nil {
		d.Server.Open(plain)
		return nil
	}
	d.publish()
	secure := exchange.Door{Listener: d.listeners.Secure, TLS: d.tcp()}
	if len(d.balancers) > 0 {
		secure.Greet = func(conn net.Conn) (net.Conn, error) { return d.greet(conn, false) }
	}
	if c.TLS.HTTP3 {
		var err error
		if d.h3, err = newH3(c, d.listeners.QUIC, d.quic(), d.Server, d.Log); err != nil {
			d.listeners.close()
			return cannot("server.tls.listen", c.TLS.Listen+" (UDP)", err)
		}
	}
	d.Server.Open(plain)
	d.Server.Open(secure)
	return d.certs.Start(d.listeners.Plain.Addr(), d.listeners.Secure.Addr())
}

// prepare makes what the doors need beside their sockets.
func (d *Doors) prepare(ctx context.Context) (err error) {
	c := &d.Config.Server
	if c.TLS != nil {
		if d.certs, err = certs.New(ctx, c.TLS, certs.Deps{Engine: d.Engine, Health: d.Health, Log: d.Log}); err != nil {
			return err
		}
		t, err := newTerms(c.TLS, d.certs)
		if err != nil {
			return err
		}
		d.terms.Store(t)
	}
	if c.TLS == nil && !c.H2C {
		return nil
	}
	d.h2 = newHTTP2(c, d.Server, d.Log)
	d.Server.Protocol(h2.Protocol, d.h2.serve)
	d.Server.Protocol(acmeProtocol, func(c net.Conn) error { return c.Close() }) // the handshake was all
	return nil
}

// Prepare reads certificates, authorities of clients and terms of TLS again: HR4032. They are in force when the function it returns is called;
// connections stay as they are. Other keys of the section server take a restart.
func (d *Doors) Prepare(c *config.Config) (use func(), err error) {
	if d.certs == nil || c.Server.TLS == nil {
		return func() {}, nil
	}
	t, err := newTerms(c.Server.TLS, d.certs)
	if err != nil {
		return nil, err
	}
	certs, err := d.certs.Prepare(c.Server.TLS)
	if err != nil {
		return nil, err
	}
	return func() {
		certs()
		d.terms.Store(t)
	}, nil
}

// Listeners are the sockets; all are nil before Start.
func (d *Doors) Listeners() Listeners { return d.listeners }

// Addr is the address of the plain door; nil before Start.
func (d *Doors) Addr() net.Addr { return address(d.listeners.Plain) }

// SecureAddr is the address of the door with TLS; nil before Start and without TLS.
func (d *Doors) SecureAddr() net.Addr { return address(d.listeners.Secure) }

func address(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// quicDrain is how long streams of HTTP/3 may go on when the doors are drained: the socket has one reader, the next process.
const quicDrain = 5 * time.Second

// Drain opens no more connections, tells clients so, and lets requests finish, with their streams, until ctx ends. Stop is still needed.
func (d *Doors) Drain(ctx context.Context) {
	if d.certs != nil {
		d.certs.Stop() // the next process renews
	}
	if d.h3 != nil {
		bound, cancel := context.WithTimeout(ctx, quicDrain)
		defer cancel()
		d.h3.stop(bound)
		d.h3 = nil
	}
	_ = d.both(ctx, d.Server.Drain)
}

// Stop opens no more connections, tells clients so, ends streams, lets other requests finish, and cuts what is left when ctx ends. Only the
// first call does.
func (d *Doors) Stop(ctx context.Context) (err error) {
	d.stop.Do(func() {
		if d.certs != nil {
			d.certs.Stop()
		}
		err = d.both(ctx, d.Server.Stop)
	})
	return err
}

// both ends the doors for HTTP/2 and HTTP/3 while end does so with the connections of TCP.
func (d *Doors) both(ctx context.Context, end func(context.Context) error) error {
	var others sync.WaitGroup
	if d.h3 != nil {
		others.Go(func() { d.h3.stop(ctx) })
	}
	if d.h2 != nil {
		others.Go(func() { d.h2.stop(ctx) })
	}
	err := end(ctx)
	others.Wait()
	return err
}
