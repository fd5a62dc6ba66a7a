package config

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/internal/gateway/auth/htpasswd"
)

func (c *Config) validateAuth(at string, a *Auth) error {
	if a == nil {
		return nil
	}
	if a.JWT == nil && a.Key == nil && a.Basic == nil && a.OIDC == nil && a.MTLS == nil && a.Forward == nil && a.Function == nil {
		return c.invalid(at, "it has no way to know who asks").Hinting("add jwt, key, basic, oidc, mtls, forward or function below %s", at)
	}
	if strings.ContainsAny(a.Realm, "\"\\") || !httpguts.ValidHeaderFieldValue(a.Realm) {
		return c.invalid(at+".realm", "%q cannot stand in a header", a.Realm).Hinting(`leave out " and \ and line breaks`)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		if err := c.validateHeader(at+".headers", name); err != nil {
			return err
		}
		if a.Headers[name] == "" {
			return c.invalid(at+".headers", "%s is made from nothing", name).Hinting("name a claim, as in %s: sub", name)
		}
	}
	if a.Forward != nil && a.Function != nil {
		return c.invalid(at+".function", "forward decides about every request, so that the function is never asked").Hinting("remove one of the two")
	}
	for _, check := range []func(string, *Auth) error{c.validateJWT, c.validateKeyAuth, c.validateBasic, c.validateOIDC, c.validateMTLS, c.validateForward, c.validateFunctionAuth} {
		if err := check(at, a); err != nil {
			return err
		}
	}
	return nil
}

// reserved are headers that frame a message or lead it; no policy may make them.
var reserved = []string{"connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

func (c *Config) validateHeader(at, name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return c.invalid(at, "%q is not the name of a header", name).Hinting("write letters, digits and -, as in X-User")
	}
	if slices.Contains(reserved, strings.ToLower(name)) {
		return c.invalid(at, "%s is a header of the connection", name).Hinting("choose another header, as in X-User")
	}
	return nil
}

func (c *Config) validateHeaders(at string, names []string) error {
	for i, name := range names {
		if err := c.validateHeader(fmt.Sprintf("%s[%d]", at, i), name); err != nil {
			return err
		}
	}
	return nil
}

// validateCookie checks a name of a cookie (RFC 6265); empty is none.
func (c *Config) validateCookie(at, name string) error {
	if name != "" && !httpguts.ValidHeaderFieldName(name) {
		return c.invalid(at, "%q is not the name of a cookie", name).Hinting("write letters, digits, - and _")
	}
	return nil
}

func (c *Config) validateScopes(at string, scopes []string) error {
	for i, scope := range scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n\"\\") {
			return c.invalid(fmt.Sprintf("%s[%d]", at, i), "%q is not a scope", scope).Hinting("write a word without spaces and quotes, as in orders:read")
		}
	}
	return nil
}

func (c *Config) validateJWT(at string, a *Auth) error {
	if a.JWT == nil {
		return nil
	}
	at += ".jwt"
	if !a.JWT.Keys() {
		return c.invalid(at, "there is no key to verify a token with").Hinting("set secret, public_key_files or jwks_url of %s", at)
	}
	if err := c.validateToken(at, &a.JWT.Token); err != nil {
		return err
	}
	if err := c.validateHeader(at+".header", a.JWT.Header); err != nil {
		return err
	}
	if err := c.validateCookie(at+".cookie", a.JWT.Cookie); err != nil {
		return err
	}
	return c.validateScopes(at+".scopes", a.JWT.Scopes)
}

func (c *Config) validateKeyAuth(at string, a *Auth) error {
	if a.Key == nil {
		return nil
	}
	if err := c.validateHeader(at+".key.header", a.Key.Header); err != nil {
		return err
	}
	return c.validateScopes(at+".key.scopes", a.Key.Scopes)
}

func (c *Config) validateBasic(at string, a *Auth) error {
	if a.Basic == nil {
		return nil
	}
	at += ".basic"
	if a.Basic.File == "" {
		return c.invalid(at, "it has no file").Hinting("set %s.file to one made with: htpasswd -B -c FILE NAME", at)
	}
	at += ".file"
	text, err := os.ReadFile(a.Basic.File)
	if err != nil {
		return c.invalid(at, "%w", err).Hinting("make it with: htpasswd -B -c FILE NAME")
	}
	if _, err := htpasswd.Parse(text); err != nil {
		return c.invalid(at, "%w", err).Hinting("write bcrypt hashes with: htpasswd -B FILE NAME")
	}
	return nil
}

func (c *Config) validateOIDC(at string, a *Auth) error {
	o := a.OIDC
	if o == nil {
		return nil
	}
	at += ".oidc"
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
		return c.invalid(at+".issuer", "%q is not the address of a provider", o.Issuer).Hinting("write https://login.example.com")
	}
	if o.ClientID == "" {
		return c.invalid(at, "it has no client_id").Hinting("register headrace with the provider, and set %s.client_id to what it tells", at)
	}
	if o.BaseURL != "" {
		if u, err := url.Parse(o.BaseURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return c.invalid(at+".base_url", "%q is not the address of a host", o.BaseURL).Hinting("write https://app.example.com")
		}
	}
	for _, p := range []struct{ key, path string }{{"callback", o.Callback}, {"login", o.Login}, {"logout", o.Logout}} {
		if !strings.HasPrefix(p.path, "/") || path.Clean(p.path) != p.path || p.path == "/" || strings.ContainsAny(p.path, "?#*{}% ") {
			return c.invalid(at+"."+p.key, "%q is not a path", p.path).Hinting("write a path such as /oidc/%s", p.key)
		}
	}
	if o.Callback == o.Logout || o.Login == o.Logout {
		return c.invalid(at+".logout", "it is the path of the callback or the login, too").Hinting("choose another path")
	}
	if o.Callback == o.Login {
		return c.invalid(at+".login", "it is the path of the callback, too").Hinting("choose another path")
	}
	if u, err := url.Parse(o.AfterLogout); err != nil || !strings.HasPrefix(o.AfterLogout, "/") && u.Host == "" || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return c.invalid(at+".after_logout", "%q is neither a path nor an address", o.AfterLogout).Hinting("write / or https://www.example.com")
	}
	if o.Cookie == "" {
		return c.invalid(at+".cookie", "it is empty").Hinting("write a name such as headrace_session")
	}
	if err := c.validateCookie(at+".cookie", o.Cookie); err != nil {
		return err
	}
	if o.Domain != "" && !originPattern.MatchString(strings.TrimPrefix(o.Domain, ".")) || strings.ContainsAny(o.Domain, ":*") {
		return c.invalid(at+".domain", "%q is not a domain", o.Domain).Hinting("write a domain such as example.com")
	}
	if o.Key != "" {
		if key, err := base64.StdEncoding.DecodeString(o.Key); err != nil || len(key) != 32 {
			return c.invalid(at+".key", "it is not 32 bytes in base64").Hinting("make one with: openssl rand -base64 32")
		}
	}
	return c.validateScopes(at+".scopes", o.Scopes)
}

func (c *Config) validateMTLS(at string, a *Auth) error {
	if a.MTLS == nil {
		return nil
	}
	for i, name := range a.MTLS.Names {
		if name == "" {
			return c.invalid(fmt.Sprintf("%s.mtls.names[%d]", at, i), "it is empty").Hinting("write a name such as device-7 or *.devices.example.com")
		}
	}
	return nil
}

func (c *Config) validateForward(at string, a *Auth) error {
	f := a.Forward
	if f == nil {
		return nil
	}
	at += ".forward"
	if strings.Contains(f.To, "://") {
		if u, err := url.Parse(f.To); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return c.invalid(at+".to", "%q is not an address", f.To).Hinting("write http://host:port/path, or the name of an upstream and a path")
		}
	} else if name, _, _ := strings.Cut(f.To, "/"); c.Upstreams[name] == nil {
		return c.invalid(at+".to", "there is no upstream %q", name).Hinting("write http://host:port/path, or the name of an upstream and a path")
	}
	if err := c.validateHeaders(at+".send", f.Send); err != nil {
		return err
	}
	if err := c.validateHeaders(at+".copy", f.Copy); err != nil {
		return err
	}
	if f.Subject != "" {
		return c.validateHeader(at+".subject", f.Subject)
	}
	return nil
}

// given are the parts of a request that a function may be given.
var given = []string{"method", "host", "path", "query", "address", "route"}

func (c *Config) validateFunctionAuth(at string, a *Auth) error {
	f := a.Function
	if f == nil {
		return nil
	}
	at += ".function"
	if f.Name == "" {
		return c.invalid(at, "it has no name").Hinting("set %s.name to a function of the app", at)
	}
	if err := c.validateHeaders(at+".headers", f.Headers); err != nil {
		return err
	}
	for i, part := range f.Given {
		if !slices.Contains(given, part) {
			e := c.invalid(fmt.Sprintf("%s.given[%d]", at, i), "%q is no part of a request", part)
			if near := Nearest(part, given); near != "" {
				return e.Hinting("write %s", near)
			}
			return e.Hinting("the parts are %s; headers stand in %s.headers", strings.Join(given, ", "), at)
		}
	}
	return nil
}

// ambient tells whether a browser may tell who asks without the page that asks knowing it: by a cookie, a password or a certificate.
func (a *Auth) ambient() bool {
	if a == nil {
		return false
	}
	told := func(name string) bool {
		return strings.EqualFold(name, "Cookie") || strings.EqualFold(name, "Authorization")
	}
	return a.OIDC != nil || a.Basic != nil || a.MTLS != nil || a.JWT != nil && a.JWT.Cookie != "" ||
		a.Forward != nil && slices.ContainsFunc(a.Forward.Send, told) || a.Function != nil && slices.ContainsFunc(a.Function.Headers, told)
}
