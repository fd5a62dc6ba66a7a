// Package protect has the policies that guard routes against pages of other sites, addresses that may not ask, and too much at a time.
package protect

import "strings"

// origins are the origins, or hosts, of a list of the configuration.
type origins struct {
	any   bool
	exact map[string]bool
	below []suffix
}

// suffix is a pattern with *. in it: what stands before and behind.
type suffix struct{ before, behind string }

func newOrigins(list []string) *origins {
	o := &origins{exact: map[string]bool{}}
	for _, text := range list {
		text = strings.ToLower(text)
		if text == "*" {
			o.any = true
		} else if before, behind, ok := strings.Cut(text, "*."); ok {
			o.below = append(o.below, suffix{before, "." + behind})
		} else {
			o.exact[text] = true
		}
	}
	return o
}

// match tells whether one of the patterns is, or stands for, the origin. A star stands for one label or several, and for nothing but letters, digits, -, _
// and dots, so that no path, user or port slips in. null is no origin.
func (o *origins) match(origin string) bool {
	if o.exact[origin] {
		return true
	}
	for _, s := range o.below {
		if len(origin) > len(s.before)+len(s.behind) && strings.HasPrefix(origin, s.before) && strings.HasSuffix(origin, s.behind) &&
			labels(origin[len(s.before):len(origin)-len(s.behind)]) {
			return true
		}
	}
	return false
}

func labels(text string) bool {
	if text[0] == '.' || text[0] == '-' || strings.Contains(text, "..") {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// split takes an origin apart; a port that is the standard of the scheme is left out. It is false for null and what is no origin.
func split(origin string) (scheme, host string, ok bool) {
	scheme, host, ok = strings.Cut(strings.ToLower(origin), "://")
	if !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/?#@\\ ") {
		return "", "", false
	}
	return scheme, bare(scheme, host), true
}

// bare is a host without the standard port of a scheme.
func bare(scheme, host string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}
