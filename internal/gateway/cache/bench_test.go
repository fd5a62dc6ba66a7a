package cache

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// BenchmarkHit answers one request of a real door again and again.
func BenchmarkHit(b *testing.B) {
	for _, vary := range []string{"", "Accept-Language"} {
		b.Run("vary="+vary, func(b *testing.B) {
			s := NewStore(64 * config.MiB)
			defer s.Close()
			policy, err := s.New("/*", defaults())
			if err != nil {
				b.Fatal(err)
			}
			handler := policy.Around(func(r *exchange.Request) error {
				h := &r.Response.Header
				h.Set("Content-Type", "application/json")
				h.Set("Cache-Control", "max-age=600")
				h.Set("ETag", `"abcdef"`)
				h.Set("X-Service", "orders")
				if vary != "" {
					h.Set("Vary", vary)
				}
				r.SetBodyString("hello")
				return nil
			})
			told := ""
			door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Minute, IdleTimeout: time.Minute, Log: slog.Default(),
				Admit: func(*exchange.Request) error { return nil },
				Serve: func(r *exchange.Request) error {
					b.ReportAllocs()
					for b.Loop() {
						r.Response.Reset()
						if err := handler(r); err != nil {
							return err
						}
					}
					told = string(r.Response.Header.Peek("Cache-Status"))
					return nil
				}})
			if err := door.Start(); err != nil {
				b.Fatal(err)
			}
			q, err := http.NewRequest("GET", "http://"+door.Addr().String()+"/orders/12345?page=2", nil)
			if err != nil {
				b.Fatal(err)
			}
			q.Header.Set("Accept", "application/json")
			q.Header.Set("Accept-Language", "de")
			q.Header.Set("Accept-Encoding", "gzip, deflate, br")
			a, err := client.Do(q)
			if err != nil {
				b.Fatal(err)
			}
			a.Body.Close()
			if !strings.HasPrefix(told, "headrace; hit") {
				b.Fatal(told)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = door.Stop(ctx)
		})
	}
}

// BenchmarkCompressedHit answers one request again and again, by a cache behind compression.
func BenchmarkCompressedHit(b *testing.B) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		b.Run(coding, func(b *testing.B) {
			s := NewStore(64 * config.MiB)
			defer s.Close()
			policy, err := s.New("/*", defaults())
			if err != nil {
				b.Fatal(err)
			}
			outer, _ := compression(b)
			body := []byte(orders(10 << 10))
			chain := exchange.NewChain(func(r *exchange.Request) error {
				h := &r.Response.Header
				h.Set("Cache-Control", "max-age=600")
				h.Set("ETag", `"abcdef"`)
				r.JSON(200, body)
				return nil
			}, outer, policy)
			door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Minute, IdleTimeout: time.Minute, Log: slog.Default(),
				Admit: func(*exchange.Request) error { return nil },
				Serve: func(r *exchange.Request) error {
					b.ReportAllocs()
					for b.Loop() {
						r.Response.Reset()
						if err := chain.Serve(r); err != nil {
							return err
						}
						chain.Finish(r)
					}
					return nil
				}})
			if err := door.Start(); err != nil {
				b.Fatal(err)
			}
			q, err := http.NewRequest("GET", "http://"+door.Addr().String()+"/orders/12345?page=2", nil)
			if err != nil {
				b.Fatal(err)
			}
			q.Header.Set("Accept-Encoding", coding)
			a, err := client.Do(q)
			if err != nil {
				b.Fatal(err)
			}
			a.Body.Close()
			if !strings.HasPrefix(a.Header.Get("Cache-Status"), "headrace; hit") || a.Header.Get("Content-Encoding") != coding {
				b.Fatal(a.Header)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = door.Stop(ctx)
		})
	}
}
