package auth

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
)

// A long cookie goes into parts and comes back; what is too long is refused; a shorter one removes what is left of the longer.
func TestCookieParts(t *testing.T) {
	j := &jar{name: "s", domain: ".example.com"}
	for _, size := range []int{0, 1, cookiePart, cookiePart + 1, mostParts * cookiePart} {
		ctx := &fasthttp.RequestCtx{}
		r := secure(ctx)
		text := strings.Repeat("x", size)
		if !j.write(r, text, time.Hour) {
			t.Fatal(size)
		}
		back := &fasthttp.RequestCtx{}
		for _, value := range ctx.Response.Header.Cookies() {
			var c fasthttp.Cookie
			if err := c.ParseBytes(value); err != nil {
				t.Fatal(err)
			}
			if !c.HTTPOnly() || !c.Secure() || string(c.Domain()) != "example.com" || c.MaxAge() != 3600 || len(value) > 4096 {
				t.Errorf("%.60s", value)
			}
			back.Request.Header.SetCookie(string(c.Key()), string(c.Value()))
		}
		b := secure(back)
		if j.read(b) != text {
			t.Error(size, len(j.read(b)))
		}
		j.write(b, "short", time.Hour)
		left := 0
		for _, value := range back.Response.Header.Cookies() {
			var c fasthttp.Cookie
			if err := c.ParseBytes(value); err == nil && !c.Expire().Equal(fasthttp.CookieExpireUnlimited) && c.Expire().Before(time.Now()) {
				left++
			}
		}
		if parts := max(1, (size+cookiePart-1)/cookiePart); left != parts-1 {
			t.Error(size, left)
		}
	}
	if j.write(secure(&fasthttp.RequestCtx{}), strings.Repeat("x", mostParts*cookiePart+1), time.Hour) {
		t.Error("a text that is too long is written")
	}
}

// secure is a request that came over TLS.
func secure(ctx *fasthttp.RequestCtx) *exchange.Request {
	return &exchange.Request{RequestCtx: ctx, Standard: &exchange.Standard{Request: &http.Request{TLS: &tls.ConnectionState{}}}}
}
