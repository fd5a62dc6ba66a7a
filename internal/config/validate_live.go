package config

import (
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/rules"
)

// jobsNamespace is that of the channels that follow a job, job:ID.
const jobsNamespace = "job"

var originPattern = regexp.MustCompile(`^(\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?)$`)

func (c *Config) validateLive() error {
	l := c.Live
	if l == nil {
		return nil
	}
	if err := c.validateLivePath(); err != nil {
		return err
	}
	if err := c.validateNamed("live.policies", l.Policies); err != nil {
		return err
	}
	if err := c.validateLiveLimits(); err != nil {
		return err
	}
	for i, origin := range l.Origins {
		if !originPattern.MatchString(origin) {
			return c.invalid(fmt.Sprintf("live.origins[%d]", i), "%q is not a host", origin).
				Hinting("write a host without https://, as in app.example.com, localhost:5173, *.example.com or *")
		}
		if origin == "*" && len(l.Policies) > 0 && c.PolicyNamed(l.Policies...).Auth.ambient() {
			return c.invalid(fmt.Sprintf("live.origins[%d]", i), "browsers tell who asks by themselves, and so any page could connect as its visitor").
				Hinting("name the hosts, or leave oidc, basic, mtls, forward, and cookies out of the auth of live.policies")
		}
	}
	for i, name := range l.RPC {
		if name == "" {
			return c.invalid(fmt.Sprintf("live.rpc[%d]", i), "it is empty").Hinting("name a function")
		}
	}
	if l.Pong >= l.Ping {
		return c.invalid("live.pong", "%s is not shorter than live.ping, %s", FormatDuration(l.Pong), FormatDuration(l.Ping)).
			Hinting("lower live.pong, or raise live.ping")
	}
	if err := c.validateToken("live.token", &l.Token); err != nil {
		return err
	}
	if err := c.validateToken("live.subscription_token", &l.SubscriptionToken); err != nil {
		return err
	}
	if l.Channels != nil {
		if err := c.validateNamespace("live.channels", l.Channels); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Namespaces)) {
		at := "live.namespaces." + name
		if name == jobsNamespace {
			return c.invalid(at, "it is the namespace of the channels that follow a job").Hinting("choose another name")
		}
		if err := c.validateNamespace(at, l.Namespaces[name]); err != nil {
			return err
		}
	}
	return nil
}

// validateLiveLimits checks the rates of commands, which have a subject, a key and an address, and nothing else of a request.
func (c *Config) validateLiveLimits() error {
	for i, l := range c.Live.Limits {
		at := fmt.Sprintf("live.limits[%d]", i)
		for part := range strings.SplitSeq(l.By, "+") {
			if !slices.Contains([]string{"address", "subject", "key", "all"}, part) {
				return c.invalid(at+".by", "%q is nothing to count commands by", part).Hinting("write address, subject, key or all, or several joined by +")
			}
		}
		if len(l.Methods) > 0 {
			return c.invalid(at+".methods", "commands have no methods").Hinting("remove methods")
		}
	}
	return c.validateLimits("live", c.Live.Limits)
}

func (c *Config) validateLivePath() error {
	const at = "live.path"
	path := c.Live.Path
	if path == "" || path[0] != '/' || strings.HasSuffix(path, "/") || strings.Contains(path, "//") ||
		strings.ContainsAny(path, "*?# %\\") || slices.ContainsFunc(strings.Split(path, "/"), dots) {
		return c.invalid(at, "%q is not a path", path).Hinting("begin with / and end without it, as in /live")
	}
	for i, r := range c.Routes {
		if r.Match == path || strings.HasPrefix(r.Match, path+"/") {
			return c.invalid(fmt.Sprintf("routes[%d].match", i), "%s belongs to the live plane", r.Match).
				Hinting("choose another path, or set live.path")
		}
	}
	return nil
}

func dots(part string) bool { return part == "." || part == ".." }

func (c *Config) validateToken(at string, t *Token) error {
	if t.JWKSURL != "" {
		if u, err := url.Parse(t.JWKSURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return c.invalid(at+".jwks_url", "it is not the address of a key set").Hinting("write https://host/path")
		}
	}
	for i, name := range t.PublicKeyFiles {
		key := fmt.Sprintf("%s.public_key_files[%d]", at, i)
		text, err := os.ReadFile(name)
		if err != nil {
			return c.invalid(key, "%w", err).Hinting("name a PEM file that can be read")
		}
		if _, err := identity.ParsePublicKeys(text); err != nil {
			return c.invalid(key, "%w", err).Hinting("write public keys of RSA (2048 bits or more), P-256, P-384, P-521 or Ed25519 in PEM")
		}
	}
	if block, _ := pem.Decode([]byte(t.Secret)); block != nil {
		return c.invalid(at+".secret", "it is a key in PEM, with which anybody who knows it could sign").Hinting("name its file in %s.public_key_files", at)
	}
	if n := len(t.Secret); n > 0 && n < identity.MinSecret {
		return c.invalid(at+".secret", "it has %d bytes; less than %d can be guessed by anybody who has one token", n, identity.MinSecret).
			Hinting("make one with: openssl rand -base64 32")
	}
	claim := at + ".issuer"
	if t.Issuer == "" {
		claim = at + ".audience"
	}
	if (t.Issuer != "" || t.Audience != "") && !t.Keys() {
		return c.invalid(claim, "there is no key to verify a token with").Hinting("set secret, public_key_files or jwks_url of %s", at)
	}
	return nil
}

func (c *Config) validateNamespace(at string, n *Namespace) error {
	switch {
	case n.History.Size > 0 && n.History.Age == 0:
		return c.invalid(at+".history.size", "there is no history without an age").Hinting("set %s.history.age, as in 1h", at)
	case n.History.Age > 0 && n.History.Size == 0:
		return c.invalid(at+".history.age", "there is no history without a size").Hinting("set %s.history.size, as in 100", at)
	case n.Recovery == "cache" && !n.Durable():
		return c.invalid(at+".recovery", "it needs a history").Hinting("set %s.history.size and .age", at)
	case n.Delta && !n.Durable():
		return c.invalid(at+".delta", "it needs a history").Hinting("set %s.history.size and .age", at)
	case n.MaxPublication > c.Live.MaxQueue:
		key := at + ".max_publication"
		if !c.isSet(key) {
			key = "live.max_queue"
		}
		return c.invalid(key, "a publication of %s (%s.max_publication) does not fit into a queue of %s (live.max_queue)", n.MaxPublication, at, c.Live.MaxQueue).
			Hinting("lower max_publication, or raise live.max_queue")
	case n.SubscriptionToken && !c.Live.SubscriptionTokens().Keys():
		return c.invalid(at+".subscription_token", "there is no key to verify a token with").
			Hinting("set secret, public_key_files or jwks_url of live.subscription_token or of live.token")
	}
	for _, rule := range []struct{ key, text string }{
		{"subscribe", n.Subscribe}, {"publish", n.Publish}, {"see_presence", n.SeePresence}, {"see_history", n.SeeHistory},
	} {
		if err := c.validateRule(at+"."+rule.key, rule.text); err != nil {
			return err
		}
	}
	return nil
}

// validateRule marks the place inside of the rule where the rule is written on one line as it is.
func (c *Config) validateRule(at, text string) error {
	_, err := rules.Compile(text)
	var broken *rules.Error
	if !errors.As(err, &broken) {
		return err
	}
	hint := broken.Hint
	if hint == "" {
		hint = "see the rules in docs/reference/configuration.md"
	}
	p := c.places[at]
	if p.line > 0 && broken.Line == 1 {
		value := string([]rune(p.text)[min(p.col-1, utf8.RuneCountInString(p.text)):])
		if before, _, ok := strings.Cut(value, text); ok {
			p.col += utf8.RuneCountInString(before) + broken.Column - 1
			return invalid(p, at, "%s", broken.Message).Hinting("%s", hint)
		}
	}
	lines := strings.Split(text, "\n")
	line := strings.TrimSpace(lines[min(broken.Line, len(lines))-1])
	return invalid(p, at, "%s, at line %d, column %d of the rule: %s", broken.Message, broken.Line, broken.Column, line).Hinting("%s", hint)
}
