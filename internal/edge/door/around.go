package door

import (
	"bytes"
	"fmt"
	"net"
	"strconv"

	"github.com/headrace/headrace/internal/exchange"
)

const challengePath = "/.well-known/acme-challenge/"

// around puts what belongs to TLS around the routes. Without TLS nothing is.
func (d *Doors) around(e *exchange.Options) {
	c := d.Config.Server.TLS
	if c == nil {
		return
	}
	if admit := e.Admit; c.Redirect || c.ACME != nil {
		e.Admit = func(r *exchange.Request) error {
			if r.IsTLS() {
				return admit(r)
			}
			if c.ACME != nil && bytes.HasPrefix(r.Path(), []byte(challengePath)) && d.certs.Challenge(r) {
				return exchange.Answered
			}
			if c.Redirect && !r.Secure() {
				d.redirect(r)
				return exchange.Answered
			}
			return admit(r)
		}
	}
	if finish := e.Finish; c.HTTP3 {
		e.Finish = func(r *exchange.Request) {
			if finish != nil {
				finish(r)
			}
			if r.IsTLS() && (r.Standard == nil || r.Standard.Request.ProtoMajor < 3) {
				r.Response.Header.Set("Alt-Svc", d.altSvc)
			}
		}
	}
}

// publish notes what clients are told of the door with TLS.
func (d *Doors) publish() {
	c := d.Config.Server.TLS
	d.port = c.PublicPort
	if d.port == 0 {
		d.port = d.listeners.Secure.Addr().(*net.TCPAddr).Port
	}
	d.altSvc = fmt.Sprintf(`h3=":%d"; ma=86400`, d.port)
}

// redirect sends a client to the same address with TLS. The method stays what it was.
func (d *Doors) redirect(r *exchange.Request) {
	host := string(r.Host())
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
		if bytes.ContainsRune([]byte(host), ':') {
			host = "[" + host + "]"
		}
	}
	if d.port != 443 {
		host += ":" + strconv.Itoa(d.port)
	}
	r.Response.Header.Set("Location", "https://"+host+string(r.RequestURI()))
	r.Response.SetStatusCode(308)
}
