package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// pagePattern is an origin of pages: a scheme, a host that may begin with *., and a port that is not the standard one.
var pagePattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://((\*\.)?[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)

// hstsPattern is Strict-Transport-Security, RFC 6797: directives, of which max-age with seconds is one.
var hstsPattern = regexp.MustCompile(`(?i)^([^;]*;)*\s*max-age\s*=\s*("[0-9]+"|[0-9]+)\s*(;[^;]*)*$`)

// validateProtect checks cors, csrf and secure.
func (c *Config) validateProtect(at string, p *Policy) error {
	if p.CORS != nil {
		if err := c.validateCORS(at+".cors", p.CORS); err != nil {
			return err
		}
	}
	if p.CSRF != nil {
		for i, origin := range p.CSRF.Origins {
			if !originPattern.MatchString(origin) || origin == "*" {
				return c.invalid(fmt.Sprintf("%s.csrf.origins[%d]", at, i), "%q is not a host", origin).
					Hinting("write a host without https://, as in app.example.com or *.example.com")
			}
		}
	}
	if p.Secure != nil {
		if hsts := p.Secure.HSTS; hsts != "" && !hstsPattern.MatchString(hsts) {
			return c.invalid(at+".secure.hsts", "%q has no max-age=", hsts).Hinting(`write it as in "max-age=31536000; includeSubDomains", or "" to send none`)
		}
		for _, h := range []struct{ key, value string }{
			{"hsts", p.Secure.HSTS}, {"frame", p.Secure.Frame}, {"referrer", p.Secure.Referrer}, {"content", p.Secure.Content},
		} {
			if !httpguts.ValidHeaderFieldValue(h.value) {
				return c.invalid(at+".secure."+h.key, "it has characters that cannot stand in a header").Hinting("write it on one line")
			}
		}
	}
	return nil
}

func (c *Config) validateCORS(at string, cors *CORS) error {
	if len(cors.Origins) == 0 {
		return c.invalid(at, "it has no origins").Hinting("set %s.origins to those of your pages, as in https://app.example.com", at)
	}
	for i, origin := range cors.Origins {
		key := fmt.Sprintf("%s.origins[%d]", at, i)
		host := origin[strings.Index(origin, "://")+1:]
		switch {
		case origin == "*" && cors.Credentials:
			return c.invalid(key, "pages of all hosts may not send cookies").Hinting("write the origins of your pages, or set credentials to false")
		case origin == "*":
		case origin == "null":
			return c.invalid(key, "every sandboxed page has the origin null").Hinting("serve the page from a host, and write that")
		case !pagePattern.MatchString(origin):
			return c.invalid(key, "%q is not an origin", origin).Hinting("write a scheme and a host in lower case and no path, as in https://app.example.com or https://*.example.com")
		case strings.HasPrefix(origin, "https://") && strings.HasSuffix(host, ":443"), strings.HasPrefix(origin, "http://") && strings.HasSuffix(host, ":80"):
			return c.invalid(key, "browsers leave out the standard port").Hinting("remove it")
		}
	}
	for i, method := range cors.Methods {
		if !httpguts.ValidHeaderFieldName(method) {
			return c.invalid(fmt.Sprintf("%s.methods[%d]", at, i), "%q is not a method", method).Hinting("write GET, POST, PUT, PATCH or DELETE")
		}
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"headers", cors.Headers}, {"expose", cors.Expose}} {
		for i, name := range list.names {
			if !httpguts.ValidHeaderFieldName(name) {
				return c.invalid(fmt.Sprintf("%s.%s[%d]", at, list.key, i), "%q is not the name of a header", name).Hinting("write letters, digits and -")
			}
		}
		if cors.Credentials && slices.Contains(list.names, "*") {
			return c.invalid(at+"."+list.key, "with credentials * is the name of a header").Hinting("write the names of the headers")
		}
	}
	return nil
}
