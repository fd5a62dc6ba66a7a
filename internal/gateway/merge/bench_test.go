package merge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
)

// BenchmarkMerge is the latency of a client behind one connection: asking one upstream, and three at once.
func BenchmarkMerge(b *testing.B) {
	for _, size := range []int{120, 10 << 10} {
		text := []byte(`{"name":"` + strings.Repeat("x", size) + `","items":[1,2,3]}`)
		listener := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("application/json")
			ctx.SetBody(text)
		}}
		address := listen(b, listener)
		for _, n := range []int{1, 3} {
			for _, how := range []string{"group", "flat", "pick"} {
				b.Run(fmt.Sprintf("%dB/%d/%s", size, n, how), func(b *testing.B) {
					var parts []config.Part
					for i := range n {
						p := config.Part{Name: fmt.Sprint("p", i), Upstream: address, Path: "/"}
						switch how {
						case "group":
							p.Group = p.Name
						case "pick":
							p.Pick = []string{"name"}
						}
						parts = append(parts, p)
					}
					g := serve(b, "/", section(parts...), nil, nil)
					client := &fasthttp.Client{}
					var in fasthttp.Request
					var out fasthttp.Response
					in.SetRequestURI(g.url + "/")
					b.ReportAllocs()
					for b.Loop() {
						if err := client.Do(&in, &out); err != nil || out.StatusCode() != 200 {
							b.Fatal(err, out.StatusCode())
						}
					}
				})
			}
		}
	}
}

func BenchmarkTake(b *testing.B) {
	doc := []byte(`{"id":1,"name":"x","items":[` + strings.Repeat(`{"id":1,"name":"abc","price":1.50,"tags":["a","b"]},`, 100) + `{}]}`)
	for name, p := range map[string]*part{
		"group": {group: []byte("g")}, "flat": {}, "pick": {filter: newFilter([]string{"items.id", "items.price"}, nil, nil)}, "target": {group: []byte("g"), target: []string{"items", "0"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.take(nil, doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
