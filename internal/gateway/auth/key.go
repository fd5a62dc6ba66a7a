package auth

import (
	"errors"
	"net/textproto"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/problem"
)

// apiKeys is the way key.
type apiKeys struct {
	config  *config.KeyAuth
	store   *keys.Store
	route   string
	place   place
	bearer  place
	all     bool // whatever stands behind Bearer is meant to be a key, as no other way takes it
	headers *headers
	known   *recall[*keys.Key, *verdict]
}

func addKey(c *config.Auth, d Deps, p *policy) error {
	if c.Key == nil {
		return nil
	}
	if d.Keys == nil {
		return errors.New("auth: there is no store of keys")
	}
	k := &apiKeys{
		config: c.Key, store: d.Keys, route: d.Route, headers: p.headers, known: newRecall[*keys.Key, *verdict](knownTokens),
		place:  place{header: textproto.CanonicalMIMEHeaderKey(c.Key.Header), scheme: "Bearer", query: c.Key.Query},
		bearer: place{header: "Authorization", scheme: "Bearer"},
	}
	k.all = c.JWT == nil && c.Forward == nil && c.Function == nil
	challenge := "ApiKey"
	if k.place.header == "Authorization" {
		challenge = "Bearer"
	}
	if c.JWT == nil || challenge != "Bearer" {
		p.challenges = append(p.challenges, challenge)
	}
	p.add("key", k.ask, "")
	return nil
}

// find is the key of the request. What stands behind Bearer and is no key is left to others.
func (k *apiKeys) find(r *exchange.Request) ([]byte, error) {
	text, err := k.place.find(r)
	if err != nil || text != nil && k.place.header != "Authorization" {
		return text, err
	}
	if text, err = k.bearer.find(r); err != nil || !k.all && !keys.Looks(text) {
		return nil, err
	}
	return text, nil
}

func (k *apiKeys) ask(r *exchange.Request) (*grant, error) {
	text, err := k.find(r)
	if err != nil || text == nil {
		return nil, err
	}
	key, who, err := k.store.Find(text)
	if err != nil {
		return nil, err
	}
	v, ok := k.known.get(key, time.Time{})
	if !ok {
		v = &verdict{}
		switch lack := missing(k.config.Scopes, key.Scopes); {
		case !key.Allows(k.route):
			v.err = problem.New("HR4045", "the API key is not for the route %s", k.route).At(key.ID)
		case lack != nil:
			v.err = problem.New("HR4043", "the API key lacks the scope %s", strings.Join(lack, " ")).At(key.ID)
		default:
			v.grant = &grant{who, k.headers.of(who)}
		}
		k.known.put(key, v, time.Time{}, 0)
	}
	if v.err != nil {
		return nil, v.err
	}
	if wait, err := k.store.Count(key); err != nil {
		return nil, &refusal{problem: problem.From(err), wait: wait}
	}
	return v.grant, nil
}
