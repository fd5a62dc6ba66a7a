package door

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// dial3 is a connection with HTTP/3 that its client keeps open for as long as it can.
func (r *rig) dial3(c *quic.Config) *quic.Conn {
	r.t.Helper()
	c.KeepAlivePeriod, c.MaxIdleTimeout = 50*time.Millisecond, time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, r.SecureAddr().String(), &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost", NextProtos: []string{http3.NextProtoH3}}, c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// begin3 sends a request, and reads nothing of the answer's body.
func (r *rig) begin3(path string, body io.Reader) {
	r.t.Helper()
	c := (&http3.Transport{}).NewClientConn(r.dial3(&quic.Config{InitialStreamReceiveWindow: 4 << 10, MaxStreamReceiveWindow: 4 << 10}))
	request, err := http.NewRequestWithContext(r.t.Context(), "POST", r.url("h3", path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	go func() { _, _ = c.RoundTrip(request) }() //nolint:bodyclose // it is not taken
}

// served3 is a connection that the server has begun to serve.
func (r *rig) served3(c *quic.Config) *quic.Conn {
	r.t.Helper()
	conn := r.dial3(c)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := conn.AcceptUniStream(ctx); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// A client that keeps a connection with HTTP/3 open, whatever it does on it, does not hold the end of the doors longer than it may last.
func TestHTTP3EndsInTime(t *testing.T) {
	for name, hold := range map[string]func(r *rig){
		"nothing is asked": func(r *rig) { r.served3(&quic.Config{}) },
		"what the server says of itself is not taken": func(r *rig) {
			r.served3(&quic.Config{InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1})
		},
		"a head has begun": func(r *rig) {
			s, err := r.served3(&quic.Config{}).OpenStream()
			if err == nil {
				_, err = s.Write([]byte{1, 0x40, 0xff, 0, 0})
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"a body does not come": func(r *rig) {
			body, _ := io.Pipe()
			r.begin3("/slow", body)
			wait(t, r.begun)
		},
		"an answer is not taken": func(r *rig) {
			r.begin3("/bulk", nil)
			wait(t, r.begun)
		},
		"a handler does not hear": func(r *rig) {
			r.begin3("/deaf", nil)
			wait(t, r.begun)
		},
	} {
		t.Run(name, func(t *testing.T) {
			deaf := make(chan struct{})
			defer close(deaf)
			r := newRig(t, func(c *config.Config, r *rig) {
				all(c, r)
				r.other = func(q *exchange.Request) error {
					r.begun <- struct{}{}
					if string(q.Path()) == "/deaf" {
						<-deaf
					}
					q.Answer(io.LimitReader(neverending('x'), 100<<20), -1)
					return nil
				}
			})
			hold(r)
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			_ = r.Stop(ctx)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the doors took %v", took)
			}
		})
	}
}

// A connection without requests is closed soon, though its client does not do so; a request that goes on is not cut for it.
func TestHTTP3IdleDoesNotHold(t *testing.T) {
	r := newRig(t, all)
	idle := r.served3(&quic.Config{})
	in, out := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		resp, err := r.client("h3").Post(r.url("h3", "/slow"), "text/plain", in)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		answered <- err
	}()
	wait(t, r.begun)
	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	began := time.Now()
	go func() { stopped <- r.Stop(ctx) }()
	wait(t, idle.Context().Done())
	if took := time.Since(began); took < lingerTime || took > 10*time.Second {
		t.Errorf("closed after %v", took)
	}
	_ = out.Close()
	if err := wait(t, answered); err != nil {
		t.Error(err)
	}
	if err := wait(t, stopped); err != nil || ctx.Err() != nil {
		t.Error(err, ctx.Err())
	}
}
