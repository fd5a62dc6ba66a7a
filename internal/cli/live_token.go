package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
)

// wanted is what a token shall say.
type wanted struct{ user, channel, expires, claims string }

func (a *app) liveToken() *cobra.Command {
	var w wanted
	cmd := &cobra.Command{
		Use: "token", Short: "Make a token for trying out, with the secret of the configuration", Args: needs(),
		Long: "Make a connection token (HS256) with live.token.secret, or with --channel a subscription token with live.subscription_token.secret. No server is\n" +
			"asked. In production your own backend makes the tokens.",
		Example: "  headrace live token --user 42\n  headrace live token --user 42 --channel chat:secret --expires 5m\n" +
			`  headrace live token --user 42 --claims '{"info": {"name": "Ann"}, "role": "editor"}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("user") {
				return usage("token needs --user").Hinting(`write --user 42, or --user "" for an anonymous one`)
			}
			c, err := a.load()
			if err != nil {
				return err
			}
			return a.makeToken(c, w)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&w.user, "user", "", "whom it is for")
	flags.StringVar(&w.channel, "channel", "", "make a subscription token for this channel")
	flags.StringVar(&w.expires, "expires", "1h", "how long it is valid; 0s is for ever")
	flags.StringVar(&w.claims, "claims", "", "more claims, as a JSON object")
	return cmd
}

func (a *app) makeToken(c *config.Config, w wanted) error {
	if c.Live == nil {
		return usage("the configuration has no section live").Hinting("add it to headrace.yaml, or name the file with --config")
	}
	key, at := &c.Live.Token, "live.token.secret"
	if w.channel != "" {
		key = c.Live.SubscriptionTokens()
		if key == &c.Live.SubscriptionToken {
			at = "live.subscription_token.secret"
		}
		if err := known(c.Live, w.channel); err != nil {
			return err
		}
	}
	if key.Secret == "" {
		return usage("%s is not set", at).Hinting("set it, or make the token with the private key that belongs to the keys of the configuration")
	}
	claims, expires, err := w.all(key)
	if err != nil {
		return err
	}
	token, err := identity.Sign([]byte(key.Secret), claims)
	if err != nil {
		return err
	}
	if a.output == "json" {
		out, err := json.Marshal(map[string]any{"token": token, "claims": claims})
		if err != nil {
			return err
		}
		return a.printJSON(out)
	}
	fmt.Fprintln(a.Stdout, token)
	if expires > 0 {
		fmt.Fprintf(a.Stderr, "valid for %s\n", config.FormatDuration(expires))
	}
	return nil
}

// all puts the claims together.
func (w *wanted) all(key *config.Token) (map[string]any, time.Duration, error) {
	claims := map[string]any{}
	if w.claims != "" {
		if err := json.Unmarshal([]byte(w.claims), &claims); err != nil || claims == nil {
			return nil, 0, usage("--claims is no JSON object").Hinting(`write it in single quotes, as in '{"info": {"name": "Ann"}}'`)
		}
	}
	expires, err := config.ParseDuration(w.expires)
	if err != nil || expires < 0 {
		return nil, 0, usage("--expires %s is not a duration", w.expires).Hinting("write a number and a unit, as in 5m")
	}
	now := time.Now()
	said := map[string]any{"sub": w.user}
	if expires > 0 {
		said["exp"] = now.Add(expires).Unix()
	}
	if w.channel != "" {
		said["channel"] = w.channel
	}
	for name, value := range said {
		if _, twice := claims[name]; twice {
			return nil, 0, usage("--claims has %s, which a flag says", name).Hinting("use --user, --channel and --expires (0s for none) for it")
		}
		claims[name] = value
	}
	for name, value := range map[string]any{"iss": key.Issuer, "aud": key.Audience, "iat": now.Unix()} {
		if _, other := claims[name]; value != "" && !other {
			claims[name] = value
		}
	}
	return claims, expires, nil
}

// known refuses a channel that no client could have.
func known(l *config.Live, channel string) error {
	namespace, _, found := strings.Cut(channel, ":")
	if !found {
		namespace = ""
	}
	if l.Namespace(namespace) != nil {
		return nil
	}
	names := slices.Sorted(maps.Keys(l.Namespaces))
	e := usage("the configuration has no channel %s", channel)
	if near := config.Nearest(namespace, names); near != "" {
		return e.Hinting("write %s:%s", near, strings.TrimPrefix(channel, namespace+":"))
	}
	if len(names) == 0 {
		return e.Hinting("add live.channels or live.namespaces to the configuration")
	}
	return e.Hinting("the namespaces are %s", strings.Join(names, ", "))
}
