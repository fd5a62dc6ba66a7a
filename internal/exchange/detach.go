package exchange

import (
	"bytes"
	"crypto/tls"
	"net"

	"github.com/valyala/fasthttp"
)

// Detach returns a request that asks the same and outlives r, for work in the background. It has no body and nobody reads its answer. Close
// it in the end.
func (r *Request) Detach() *Request {
	var conn net.Conn = past{remote: r.RemoteAddr(), local: r.LocalAddr()}
	if state := r.TLSConnectionState(); state != nil {
		conn = pastTLS{conn, *state}
	} else if r.Standard != nil && r.Standard.Request.TLS != nil {
		conn = pastTLS{conn, *r.Standard.Request.TLS}
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init2(conn, printer{r.Log()}, false)
	r.Request.Header.CopyTo(&ctx.Request.Header)
	d := &Request{RequestCtx: ctx, Route: r.Route, Function: r.Function, Identity: r.Identity, server: r.server, client: r.Client(), id: r.ID()}
	for i, value := range r.Params {
		d.Params[i] = bytes.Clone(value)
	}
	return d
}

// Close lets go of the answer of a request that Detach made.
func (r *Request) Close() {
	_ = r.Response.CloseBodyStream()
	r.end()
	if r.span != nil {
		r.span.End()
	}
}

// past is a connection that is known by its ends alone.
type past struct {
	net.Conn
	remote, local net.Addr
}

func (p past) RemoteAddr() net.Addr { return p.remote }
func (p past) LocalAddr() net.Addr  { return p.local }

// pastTLS is one that had TLS.
type pastTLS struct {
	net.Conn
	state tls.ConnectionState
}

// Handshake implements what fasthttp knows a connection with TLS by.
func (pastTLS) Handshake() error { return nil }

// ConnectionState likewise.
func (p pastTLS) ConnectionState() tls.ConnectionState { return p.state }
