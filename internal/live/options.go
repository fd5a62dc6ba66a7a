package live

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/time/rate"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/websocket"
)

// options are the configuration as the plane uses it; they are replaced, never changed.
type options struct {
	*config.Live
	tokens             *identity.Verifier // nil without keys
	subscriptionTokens *identity.Verifier // likewise
	namespaces         map[string]*namespace
	rpc                map[string]bool
	limits, deflated   *websocket.Limits
	handshakes         *rate.Limiter
	counted            Limiter // of commands; nil without limits
}

// namespace is the options of a group of channels.
type namespace struct {
	*config.Namespace
	name                                        string
	subscribe, publish, seePresence, seeHistory *rule
	log                                         *history.Log // nil without history
	source                                      Source       // of a read-only namespace; nil for others
}

// positions tells whether the channels have offsets.
func (n *namespace) positions() bool { return n.log != nil || n.source != nil }

// find is the namespace of a channel, nil if there is none, and the rest of the channel's name.
func (o *options) find(channel string) (n *namespace, id string) {
	name, id, ok := strings.Cut(channel, ":")
	if !ok {
		return o.namespaces[""], channel
	}
	return o.namespaces[name], id
}

// compile checks what the configuration cannot: keys and rules. HR9003 names the key.
func compile(c *config.Live, sources []Source, health *observe.Health, log *slog.Logger) (*options, error) {
	o := &options{Live: c, namespaces: map[string]*namespace{}, rpc: map[string]bool{},
		limits:     &websocket.Limits{Message: int(c.MaxMessage)},
		deflated:   &websocket.Limits{Message: int(c.MaxMessage), Deflate: true},
		handshakes: rate.NewLimiter(rate.Inf, 0),
	}
	if n := c.HandshakesPerSecond; n > 0 {
		o.handshakes = rate.NewLimiter(rate.Limit(n), n)
	}
	var err error
	if o.tokens, err = verifier("live.token", &c.Token, health, log); err != nil {
		return nil, err
	}
	o.subscriptionTokens = o.tokens
	if c.SubscriptionToken.Keys() {
		if o.subscriptionTokens, err = verifier("live.subscription_token", &c.SubscriptionToken, health, log); err != nil {
			return nil, err
		}
	}
	for _, name := range c.RPC {
		o.rpc[name] = true
	}
	if c.Channels != nil {
		if o.namespaces[""], err = newNamespace("", "live.channels", c.Channels); err != nil {
			return nil, err
		}
	}
	for name, n := range c.Namespaces {
		if o.namespaces[name], err = newNamespace(name, "live.namespaces."+name, n); err != nil {
			return nil, err
		}
	}
	for _, s := range sources {
		plain := config.DefaultNamespace()
		o.namespaces[s.Namespace()] = &namespace{Namespace: plain, name: s.Namespace(), source: s}
	}
	return o, nil
}

func newNamespace(name, at string, c *config.Namespace) (*namespace, error) {
	n := &namespace{Namespace: c, name: name}
	for _, r := range []struct {
		key, text string
		to        **rule
	}{
		{"subscribe", c.Subscribe, &n.subscribe}, {"publish", c.Publish, &n.publish},
		{"see_presence", c.SeePresence, &n.seePresence}, {"see_history", c.SeeHistory, &n.seeHistory},
	} {
		compiled, err := newRule(r.text)
		if err != nil {
			return nil, problem.New("HR9003", "%w", err).At(at + "." + r.key).Hinting("write true, or a rule over user, client, channel, id, claims and users")
		}
		*r.to = compiled
	}
	return n, nil
}

func verifier(at string, t *config.Token, health *observe.Health, log *slog.Logger) (*identity.Verifier, error) {
	if !t.Keys() {
		return nil, nil
	}
	o := identity.Options{Secret: []byte(t.Secret), JWKS: t.JWKSURL, Issuer: t.Issuer, Audience: t.Audience}
	if health != nil {
		o.Told = identity.Raising(health)
	}
	for i, file := range t.PublicKeyFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, problem.New("HR9003", "public key: %w", err).At(fmt.Sprintf("%s.public_key_files[%d]", at, i)).Hinting("name a readable PEM file")
		}
		o.PublicKeys = append(o.PublicKeys, text)
	}
	v, err := identity.New(o, log)
	if err != nil {
		return nil, problem.New("HR9003", "%w", err).At(at).Hinting("give a secret that is no PEM key, or PEM files with public keys")
	}
	return v, nil
}
