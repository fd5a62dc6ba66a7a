package door

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// An answer of status 103 comes before the other one, in all protocols that have it, on kept connections too.
func TestHints(t *testing.T) {
	early := make(chan struct{}, 1)
	r := newRig(t, func(c *config.Config, r *rig) {
		c.Server.TLS.HTTP3 = true
		r.other = func(q *exchange.Request) error {
			if q.TakesHint() {
				q.Hint(http.Header{"Link": {"</a>", "</b>"}})
				wait(t, early)
			}
			q.Response.SetBodyString("done")
			return nil
		}
	})
	kept := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost"}}
	t.Cleanup(kept.CloseIdleConnections)
	for protocol, client := range map[string]*http.Client{
		"h1": {Transport: kept, Timeout: 10 * time.Second}, "h2": r.client("h2"), "h3": r.client("h3"), "plain": r.client("plain"),
	} {
		for range 2 {
			var links []string
			trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
				links = h["Link"]
				early <- struct{}{}
				return nil
			}}
			req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", r.url(protocol, "/hint"), nil)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(protocol, err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(body) != "done" || err != nil || len(links) != 2 || resp.Header.Get("Link") != "" {
				t.Error(protocol, string(body), err, links, resp.Header)
			}
		}
	}
}
