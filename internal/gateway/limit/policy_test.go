package limit

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
)

// serve answers with ok behind the limits; the header X-User is who asks.
func serve(t testing.TB, s *Store, list []config.Limit) string {
	t.Helper()
	p, err := s.New("/orders", list)
	if err != nil {
		t.Fatal(err)
	}
	chain := exchange.NewChain(func(r *exchange.Request) error {
		r.Response.Reset() // as a proxy may
		r.SetBodyString("ok")
		return nil
	}, p)
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, Log: quiet(t),
		Admit: func(r *exchange.Request) error {
			if user := r.Request.Header.Peek("X-User"); len(user) > 0 {
				r.Identity = &identity.Identity{Subject: string(user), Claims: []byte(`{"org":"a"}`)}
			}
			return chain.Admit(r)
		}, Serve: chain.Serve, Finish: chain.Finish})
	if err := door.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = door.Stop(ctx)
	})
	return "http://" + door.Addr().String()
}

type got struct {
	status int
	header http.Header
	body   string
}

func ask(t testing.TB, method, url string, headers ...string) got {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{a.StatusCode, a.Header, string(body)}
}

func TestHeaders(t *testing.T) {
	url := serve(t, newStore(t, 0), []config.Limit{
		{Rate: rate(t, "2/h"), By: "address", Name: "few"}, {Rate: rate(t, "1000/500ms"), By: "all"},
	})
	a := ask(t, "GET", url)
	if a.status != 200 || a.header.Get("RateLimit-Policy") != `"few";q=2;w=3600, "all";q=1000` || a.header.Get("RateLimit") != `"few";r=1;t=1800, "all";r=999;t=1` || a.header.Get("Retry-After") != "" {
		t.Error(a)
	}
	ask(t, "GET", url)
	a = ask(t, "GET", url)
	if a.status != 429 || !strings.Contains(a.body, "HR4070") || a.header.Get("Retry-After") != "1800" || !strings.HasPrefix(a.header.Get("RateLimit"), `"few";r=0;t=`) {
		t.Error(a)
	}
}

// What the last limit refuses, the first does not count.
func TestRefusalGivesBack(t *testing.T) {
	s := newStore(t, 0)
	url := serve(t, s, []config.Limit{{Rate: rate(t, "100/h"), By: "all", Name: "wide"}, {Rate: rate(t, "1/h"), By: "subject"}})
	for range 50 {
		ask(t, "GET", url, "X-User", "ann")
	}
	if a := ask(t, "GET", url, "X-User", "ben"); a.status != 200 || !strings.HasPrefix(a.header.Get("RateLimit"), `"wide";r=98;`) {
		t.Error(a)
	}
}

func TestBy(t *testing.T) {
	one := func(by string) string {
		return serve(t, newStore(t, 0), []config.Limit{{Rate: rate(t, "1/h"), By: by}})
	}
	for by, requests := range map[string][][]string{ // the last is refused, the others are not
		"address":                   {{}, {"X-User", "ann"}},
		"subject":                   {{"X-User", "ann"}, {"X-User", "ben"}, {}, {"X-User", "\x31\x32\x37.0.0.1"}, {"X-User", "ann"}},
		"subject+route":             {{"X-User", "ann"}, {"X-User", "ben"}, {"X-User", "ann"}},
		"header:X-Tenant":           {{"X-Tenant", "a"}, {"X-Tenant", "b"}, {}, {"X-Tenant", "b"}},
		"header:X-Tenant+claim:org": {{"X-Tenant", "a"}, {"X-Tenant", "a", "X-User", "ann"}, {"X-Tenant", "a", "X-User", "ben"}},
		"key":                       {{"X-User", "ann"}, {"X-User", "ben"}}, // there is none: the address
		"all":                       {{"X-User", "ann"}, {"X-User", "ben"}},
		"route":                     {{"X-User", "ann"}, {"X-User", "ben"}},
	} {
		url := one(by)
		for i, headers := range requests {
			want := 200
			if i == len(requests)-1 {
				want = 429
			}
			if a := ask(t, "GET", url, headers...); a.status != want {
				t.Errorf("%s, request %d: %v", by, i, a)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	url := serve(t, newStore(t, 0), []config.Limit{{Rate: rate(t, "1/h"), By: "address", Methods: []string{"POST"}}})
	for _, c := range []struct {
		method string
		status int
	}{{"GET", 200}, {"POST", 200}, {"GET", 200}, {"POST", 429}, {"GET", 200}} {
		if a := ask(t, c.method, url); a.status != c.status {
			t.Error(c, a)
		}
	}
}

func BenchmarkPolicy(b *testing.B) {
	s := newStore(b, 0)
	r := &exchange.Request{RequestCtx: &fasthttp.RequestCtx{}, Identity: &identity.Identity{Subject: "ann"}}
	by := newBy("subject")
	var key [256]byte
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			by.appendKey(key[:0], r, "")
		}
	})
	p, err := s.New("/orders", []config.Limit{{Rate: rate(b, "1000000000/s"), By: "subject"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p.Admit(r) != nil {
				b.Fatal("refused")
			}
			p.Finish(r)
		}
	})
}
