package proxy

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// tells answers with the length of the body, and with the trailers that followed it.
func tells(w http.ResponseWriter, r *http.Request) {
	announced := slices.Sorted(maps.Keys(r.Trailer))
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n, " ", err, " ", announced)
	for _, name := range slices.Sorted(maps.Keys(r.Trailer)) {
		fmt.Fprintf(w, " %s=%s", name, strings.Join(r.Trailer[name], ","))
	}
	for _, name := range []string{"X-Sum", "X-More"} {
		if r.Header.Get(name) != "" {
			fmt.Fprint(w, " header ", name)
		}
	}
}

// Trailers of requests reach upstreams of both protocols, from clients of both, if they are such as may follow a body.
func TestRequestTrailers(t *testing.T) {
	address := backend(t, tells)
	for protocol, u := range map[string]*config.Upstream{"HTTP/1.1": service(address), "HTTP/2": h2service(address)} {
		g := start(t, options{route: config.Route{Proxy: "up"}, edit: &config.Edit{Request: map[string]string{"X-Set": "1"}}, protected: []string{"X-User"},
			upstreams: map[string]*config.Upstream{"up": u}})
		unannounced := " X-More=2 X-Sum=7,8"
		if protocol == "HTTP/2" { // which sends none that was not announced
			unannounced = " X-Sum=7,8"
		}
		for _, c := range []struct{ name, head, tail, want string }{
			{"announced", "Trailer: X-Sum, content-digest\r\n", "X-Sum: 7\r\nContent-Digest: sha-256=:a:\r\n", "5 <nil> [Content-Digest X-Sum] Content-Digest=sha-256=:a: X-Sum=7"},
			{"some not announced", "Trailer: X-Sum\r\n", "X-Sum: 7\r\nX-More: 2\r\nX-Sum: 8\r\n", "5 <nil> [X-Sum]" + unannounced},
			{"announced, and none", "Trailer: X-Sum\r\n", "", "5 <nil> [X-Sum] X-Sum="},
			{"none", "", "", "5 <nil> []"},
			{"settled before", "Trailer: Cache-Control, X-User, X_User, X-Set, If-Match, Accept, Forwarded, X-Original-Url, Content-Language, X-Hop\r\nConnection: X-Hop\r\n",
				"Cache-Control: a\r\nX-User: root\r\nX_User: root\r\nX-Set: 2\r\nIf-Match: a\r\nAccept: a\r\nForwarded: for=1.1.1.1\r\nX-Original-Url: /a\r\nContent-Language: de\r\nX-Hop: 1\r\n", "5 <nil> []"},
		} {
			_, body := g.ask(t, "POST / HTTP/1.1\r\nHost: h\r\n"+c.head+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"+c.tail+"\r\n")
			if body != c.want {
				t.Errorf("%s, %s: %s", protocol, c.name, body)
			}
		}
		for _, tail := range []string{"Host: a\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Authorization: a\r\n", "X: a\x00\r\n", "X Y: a\r\n", "none\r\n"} {
			got, body := g.ask(t, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"+tail+"\r\n")
			if got.StatusCode != 400 && strings.TrimSpace(body) != "5 <nil> []" {
				t.Errorf("%s, %q: %s %s", protocol, tail, got.Status, body)
			}
		}
		own, url := g.ownH2(t)
		for _, size := range []int64{5, 100_000} {
			req, _ := http.NewRequest("POST", url, nil)
			req.Trailer = http.Header{"X-Sum": nil, "X-User": nil, "X-Set": nil}
			req.ContentLength = -1
			req.Body = io.NopCloser(&ending{io.LimitReader(zeros{}, size), func() {
				req.Trailer["X-Sum"], req.Trailer["X-User"] = []string{"7", "8"}, []string{"root"}
			}})
			got, err := own.Do(req)
			if err != nil {
				t.Fatal(protocol, err)
			}
			body, err := io.ReadAll(got.Body)
			_ = got.Body.Close()
			if want := fmt.Sprint(size, " <nil> [X-Sum] X-Sum=7,8"); string(body) != want || err != nil {
				t.Errorf("%s, HTTP/2, %d: %s %v", protocol, size, body, err)
			}
		}
	}
}

// ending does something at its end.
type ending struct {
	io.Reader
	end func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err == io.EOF {
		e.end()
	}
	return n, err
}

// What follows a body that is decoded on its way was meant for another.
func TestTrailersOfDecoded(t *testing.T) {
	g := start(t, options{route: config.Route{Proxy: backend(t, tells)}, before: func(r *exchange.Request) error {
		r.Decode(func(from io.Reader) io.Reader { return from })
		return nil
	}})
	if _, body := g.ask(t, "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"); body != "5 <nil> []" {
		t.Error(body)
	}
}
