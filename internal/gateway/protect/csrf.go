package protect

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// CSRF refuses requests that bring cookies, may change something, and were sent by a page of another host: HR4056. Requests of programs that send no cookies,
// or neither Origin nor Referer nor Sec-Fetch-Site, pass. A WebSocket handshake counts as a change, since its GET opens a channel for them.
func CSRF(c *config.CSRF) exchange.Policy {
	allowed := newOrigins(c.Origins)
	return exchange.Policy{Admit: func(r *exchange.Request) error {
		if len(r.Request.Header.Peek("Cookie")) == 0 || safe(r) {
			return nil
		}
		scheme := "http"
		if r.Secure() {
			scheme = "https"
		}
		return judge(sent{
			host: strings.ToLower(string(r.Host())), scheme: scheme, origin: string(r.Request.Header.Peek("Origin")),
			referer: string(r.Request.Header.Peek("Referer")), site: string(r.Request.Header.Peek("Sec-Fetch-Site")),
		}, allowed)
	}}
}

// safe tells whether a request changes nothing by its method (RFC 9110, section 9.2.1).
func safe(r *exchange.Request) bool {
	switch string(r.Method()) {
	case "GET", "HEAD", "TRACE":
		return !bytes.EqualFold(bytes.TrimSpace(r.Request.Header.Peek("Upgrade")), []byte("websocket"))
	case "OPTIONS":
		return true
	}
	return false
}

// sent is what tells of the page that sent a request.
type sent struct{ host, scheme, origin, referer, site string }

func judge(s sent, allowed *origins) error {
	if s.site == "same-origin" || s.site == "none" { // browsers set it, pages cannot
		return nil
	}
	from := s.origin
	if from == "" {
		if u, err := url.Parse(s.referer); s.referer != "" && err == nil && u.Host != "" {
			from = u.Scheme + "://" + u.Host
		}
	}
	if from == "" {
		if s.site == "" && s.referer == "" {
			return nil
		}
		return problem.New("HR4056", "the request does not tell which page sent it")
	}
	scheme, host, ok := split(from)
	if ok && (host == bare(scheme, s.host) && (scheme == s.scheme || scheme == "https") || allowed.match(host)) {
		return nil
	}
	return problem.New("HR4056", "the page that sent this is from %.100s", from)
}
