package protect

import (
	"net/url"
	"strings"
	"testing"
)

// What matches a pattern is an origin below its host, as a browser reads it.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://a.example.com", "null", "https://evil.com/.example.com", "https://a@b.example.com", "https://a:1.example.com", "https://..example.com", "https://-.example.com"} {
		f.Add(seed)
	}
	o := newOrigins([]string{"https://*.example.com", "https://one.example.org"})
	f.Fuzz(func(t *testing.T, origin string) {
		if !o.match(origin) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Path != "" || u.Port() != "" || u.Host != "one.example.org" && !strings.HasSuffix(u.Host, ".example.com") {
			t.Errorf("%q", origin)
		}
		if _, _, ok := split(origin); !ok {
			t.Errorf("%q is no origin", origin)
		}
	})
}

// A request that passes tells of a page of this host or of one that is allowed, or of none.
func FuzzCSRF(f *testing.F) {
	f.Add("https://a.com", "https://evil.com/x", "cross-site")
	f.Add("", "https://a.com", "")
	f.Add("null", "", "")
	allowed := newOrigins([]string{"*.partner.com"})
	f.Fuzz(func(t *testing.T, origin, referer, site string) {
		if judge(sent{"a.com", "https", origin, referer, site}, allowed) != nil || site == "same-origin" || site == "none" {
			return
		}
		from := origin
		if from == "" {
			from = referer
		}
		if from == "" {
			return
		}
		u, err := url.Parse(strings.ToLower(from))
		if err != nil || u.Hostname() != "a.com" && !strings.HasSuffix(u.Hostname(), ".partner.com") {
			t.Errorf("%q %q %q", origin, referer, site)
		}
	})
}
