package auth

import (
	"errors"
	"net/textproto"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// tokens is the way jwt.
type tokens struct {
	config   *config.JWT
	place    place
	verifier *identity.Verifier
	headers  *headers
	keys     bool // API keys are taken, too, and may stand in the same place
	known    *recall[*identity.Claims, *verdict]
}

// verdict is what was found out about the claims of a token; it holds as long as the token does.
type verdict struct {
	grant *grant
	err   error
}

// knownTokens is how many verdicts a route remembers; the verifier remembers as many tokens.
const knownTokens = 4096

func addJWT(c *config.Auth, d Deps, p *policy) error {
	if c.JWT == nil {
		return nil
	}
	verifier, err := d.Registry.verifier(&c.JWT.Token, c.JWT.Leeway, d.Health, d.Log)
	if err != nil {
		return err
	}
	t := &tokens{
		config: c.JWT, verifier: verifier, headers: p.headers, keys: c.Key != nil, known: newRecall[*identity.Claims, *verdict](knownTokens),
		place: place{header: textproto.CanonicalMIMEHeaderKey(c.JWT.Header), scheme: "Bearer", cookie: c.JWT.Cookie, query: c.JWT.Query},
	}
	p.add("jwt", t.ask, "Bearer")
	return nil
}

func (t *tokens) ask(r *exchange.Request) (*grant, error) {
	token, err := t.place.find(r)
	if err != nil || token == nil || t.keys && keys.Looks(token) {
		return nil, err
	}
	claims, err := t.verifier.Verify(unsafe.String(unsafe.SliceData(token), len(token))) // it keeps no more than a copy
	if err != nil {
		return nil, invalid(err)
	}
	v, ok := t.known.get(claims, time.Time{})
	if !ok {
		v = t.judge(claims)
		t.known.put(claims, v, time.Time{}, 0)
	}
	return v.grant, v.err
}

// invalid refuses a token as RFC 6750 has it. That there are no keys yet is no fault of the client.
func invalid(err error) error {
	if errors.Is(err, identity.ErrExpired) {
		return &refusal{problem: problem.New("HR4042", "the token has expired"), challenge: `Bearer error="invalid_token", error_description="the token has expired"`}
	}
	if errors.Is(err, identity.ErrUnread) {
		return problem.New("HR4049", "the keys that tokens are verified with cannot be read").Answering(503)
	}
	return &refusal{problem: problem.New("HR4041", "%w", err), challenge: `Bearer error="invalid_token", error_description="the token is not valid"`}
}

// judge holds claims against what the route asks for.
func (t *tokens) judge(c *identity.Claims) *verdict {
	all := read(c.Raw)
	who := &identity.Identity{Method: "jwt", Subject: c.Subject, Scopes: all.scopes(), Claims: c.Raw}
	if err := allowed(who, all, t.config.Claims, t.config.Scopes); err != nil {
		return &verdict{err: err}
	}
	return &verdict{grant: &grant{who, t.headers.of(who)}}
}

// allowed is a refusal unless somebody has all claims and scopes.
func allowed(who *identity.Identity, all claims, want map[string]string, scopes []string) error {
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !all.has(name, want[name]) && (name != "sub" || who.Subject != want[name]) {
			return &refusal{problem: problem.New("HR4043", "the claim %s is not what the route asks for", name), challenge: `Bearer error="insufficient_scope"`}
		}
	}
	if lack := missing(scopes, who.Scopes); lack != nil {
		return &refusal{
			problem:   problem.New("HR4043", "the scope %s is missing", strings.Join(lack, " ")),
			challenge: `Bearer error="insufficient_scope", scope="` + strings.Join(scopes, " ") + `"`,
		}
	}
	return nil
}
