package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
)

// beginning is how long it may take until the connection of a client is taken over.
const beginning = time.Minute

// tunnel carries the bytes of a client and of a target to each other once they have changed the protocol. It has no timeouts; while both
// are silent it holds no buffer.
type tunnel struct {
	target *balance.Target
	began  time.Time
	gauge  prometheus.Gauge
	open   *atomic.Int64 // of all upstreams
	up     *upstream.Conn
	down   net.Conn
	guard  *time.Timer
	ends   sync.WaitGroup
	once   sync.Once
}

// tunnel takes the connection of the client over. What the target answered is written here, since nobody would close the connection to
// the target if the client was gone before.
func (x *passage) tunnel(r *exchange.Request) {
	t := &tunnel{target: x.target, began: x.began, up: x.call.Tunnel, gauge: x.proxy.metrics.tunnels.WithLabelValues(x.way.Name()), open: &x.proxy.metrics.open}
	t.gauge.Inc()
	t.open.Add(1)
	t.guard = time.AfterFunc(beginning, t.close)
	ctx, running := r.RequestCtx, r.Running()
	x.resp.Header.Set("Connection", "Upgrade")
	r.HijackSetNoResponse(true)
	r.Hijack(func(c net.Conn) { t.start(ctx, c, running) })
}

// start runs in a goroutine of the server, which closes c and lets go of its buffers when start returns.
func (t *tunnel) start(ctx *fasthttp.RequestCtx, c net.Conn, running context.Context) {
	if !t.guard.Stop() {
		return
	}
	asked, answered := early(c), early(t.up)
	down, own := detach(c)
	t.down = down
	_, err := down.Write(append(ctx.Response.Header.Header(), answered...))
	if err == nil && len(asked) > 0 {
		_, err = t.up.Write(asked)
	}
	if err != nil {
		t.close()
		return
	}
	leave := context.AfterFunc(running, t.close)
	t.ends.Add(2)
	go t.carry(t.down, t.up)
	if own {
		go t.last(leave)
		return
	}
	t.last(leave)
}

// last carries the other way, and ends the tunnel.
func (t *tunnel) last(leave func() bool) {
	t.carry(t.up, t.down)
	t.ends.Wait()
	leave()
	t.close()
}

// carry copies until the end of from, and ends its half. If either breaks both are closed.
func (t *tunnel) carry(to, from net.Conn) {
	defer t.ends.Done()
	if err := carry(to, from); err != nil {
		t.close()
		return
	}
	half, ok := to.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.close()
	}
}

func (t *tunnel) close() {
	t.once.Do(func() {
		_ = t.up.Close()
		if t.down != nil {
			_ = t.down.Close()
		}
		t.gauge.Dec()
		t.open.Add(-1)
		t.target.End(false, fasthttp.StatusSwitchingProtocols, time.Since(t.began))
	})
}

// early are the bytes that were read already.
func early(c net.Conn) (list []byte) {
	_ = c.SetReadDeadline(time.Unix(1, 0)) // what was read is given nevertheless
	var b [512]byte
	for {
		n, err := c.Read(b[:])
		list = append(list, b[:n]...)
		if err != nil || n == 0 {
			_ = c.SetDeadline(time.Time{})
			return list
		}
	}
}

// detach makes the connection independent of the server, which holds buffers for its own. It is own if it could; TLS cannot.
func detach(c net.Conn) (conn net.Conn, own bool) {
	if wrapped, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		c = wrapped.UnsafeConn()
	}
	if plain, ok := c.(interface{ NetConn() net.Conn }); ok {
		if _, secure := c.(*tls.Conn); !secure {
			c = plain.NetConn()
		}
	}
	socket, ok := c.(*net.TCPConn)
	if !ok {
		return c, false
	}
	file, err := socket.File()
	if err != nil {
		return c, false
	}
	defer file.Close()
	if conn, err = net.FileConn(file); err != nil {
		return c, false
	}
	return conn, true
}
