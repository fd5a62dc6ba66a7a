package compress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// section is what the configuration has by default, changed by f.
func section(f func(*config.Compress)) *config.Compress {
	c := &config.Compress{Level: "fast", MinSize: config.KiB, MaxRatio: 100, Memory: 64 * config.MiB}
	if f != nil {
		f(c)
	}
	return c
}

// rig is a door whose only route has the policy.
type rig struct {
	url      string
	encoders *Encoders
}

func serve(t testing.TB, c *config.Compress, handler exchange.Handler) *rig {
	t.Helper()
	g := &rig{encoders: NewEncoders()}
	policy, err := New(c, g.encoders)
	must(t, err)
	chain := exchange.NewChain(handler, policy)
	server := exchange.NewServer(exchange.Options{
		Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
		Admit: chain.Admit, Serve: chain.Serve, Finish: chain.Finish,
	})
	must(t, server.Start())
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	g.url = "http://" + server.Addr().String()
	return g
}

var plainly = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 10 * time.Second}

func (g *rig) ask(t testing.TB, method, accept string, header ...string) (*http.Response, []byte) {
	t.Helper()
	q, err := http.NewRequest(method, g.url, nil)
	must(t, err)
	if accept != "" {
		q.Header.Set("Accept-Encoding", accept)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	got, err := plainly.Do(q)
	must(t, err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	must(t, err)
	return got, body
}

func decoderOf(t testing.TB, name string, from io.Reader) io.Reader {
	t.Helper()
	switch name {
	case "":
		return from
	case "gzip":
		z, err := gzip.NewReader(from)
		must(t, err)
		return z
	case "br":
		return brotli.NewReader(from)
	case "zstd":
		z, err := zstd.NewReader(from)
		must(t, err)
		t.Cleanup(z.Close)
		return z
	}
	t.Fatal("encoding ", name)
	return nil
}

func encode(t testing.TB, name string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch name {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	}
	_, err := w.Write(body)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// orders is JSON of about n bytes as an API gives it.
func orders(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteByte('[')
	for b.Len() < n {
		fmt.Fprintf(&b, `{"id":%d,"name":"customer %d","total":%d.%02d,"state":%q},`, r.IntN(1e6), r.IntN(1000), r.IntN(500), r.IntN(100), []string{"open", "paid", "sent"}[r.IntN(3)])
	}
	b.WriteString("{}]")
	return b.Bytes()
}

func jsonAnswer(body []byte) exchange.Handler {
	return func(r *exchange.Request) error { r.JSON(200, body); return nil }
}

// pieces is a body that gives what it is sent, each piece in one Read.
type pieces struct {
	from chan string
	rest string
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		text, ok := <-p.from
		if !ok {
			return 0, io.EOF
		}
		p.rest = text
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
