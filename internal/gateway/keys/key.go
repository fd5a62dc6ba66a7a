// Package keys keeps the API keys of the gateway in the engine. A check reads memory only; what is created or revoked on one node is known to the
// others as soon as the engine tells them.
package keys

import (
	"encoding/json"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// Spec is what a key is made with.
type Spec struct {
	Owner    string            // who the requests are from; required
	Name     string            // for people
	Scopes   []string          // what it may do
	Routes   []string          // names of the routes that it may use, * standing for anything; empty is all
	Quota    config.Rate       // requests in fixed periods, counted from 1970 in UTC; zero is no limit
	Expires  time.Time         // zero is never
	Metadata map[string]string // claims metadata.NAME of the identity
}

// Key is a key without its secret. It is shared and must not be changed.
type Key struct {
	ID string
	Spec
	Created time.Time
}

// Usage is what was done with a key, on all nodes, as far as this one knows: others tell it within seconds.
type Usage struct {
	Used  time.Time // last, to the second; zero is never
	Count int64     // requests in the current period of the quota; 0 without one
}

const (
	maxText  = 256 // bytes of a name, an owner, a scope, a route or a piece of metadata
	maxList  = 64  // of each
	minQuota = time.Second
)

// check is HR4061 for a spec that no key can be made with.
func (s *Spec) check(now time.Time) error {
	bad := func(at, format string, args ...any) error { return problem.New("HR4061", format, args...).At("/" + at) }
	long := func(text string) bool { return len(text) > maxText || strings.ContainsFunc(text, control) }
	switch {
	case s.Owner == "":
		return bad("owner", "the key has no owner")
	case long(s.Owner):
		return bad("owner", "the owner has more than %d bytes, or control characters", maxText)
	case long(s.Name):
		return bad("name", "the name has more than %d bytes, or control characters", maxText)
	case len(s.Scopes) > maxList:
		return bad("scopes", "%d scopes are more than %d", len(s.Scopes), maxList)
	case len(s.Routes) > maxList:
		return bad("routes", "%d routes are more than %d", len(s.Routes), maxList)
	case len(s.Metadata) > maxList:
		return bad("metadata", "%d members are more than %d", len(s.Metadata), maxList)
	case !s.Expires.IsZero() && !s.Expires.After(now):
		return bad("expires", "it is expired already")
	case s.Quota.N < 0 || s.Quota.N > math.MaxInt32:
		return bad("quota", "%d requests are not from 1 to %d", s.Quota.N, math.MaxInt32)
	case s.Quota.N > 0 && s.Quota.Per < minQuota:
		return bad("quota", "a period of %s is shorter than %s", s.Quota.Per, minQuota)
	}
	for _, scope := range s.Scopes {
		if scope == "" || long(scope) || strings.ContainsAny(scope, " \"\\") {
			return bad("scopes", "%.60q is not a scope", scope)
		}
	}
	for _, route := range s.Routes {
		if _, err := path.Match(pattern(route), ""); route == "" || long(route) || err != nil {
			return bad("routes", "%.60q is not the name of a route", route)
		}
	}
	for name, value := range s.Metadata {
		if name == "" || long(name) || long(value) {
			return bad("metadata", "%.60q is empty, too long or has control characters", name)
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// pattern lets * stand for anything, / included, and takes all else as it is.
func pattern(route string) string {
	return strings.NewReplacer("/", "\x00", "\\", "\\\\", "?", "\\?", "[", "\\[", "]", "\\]").Replace(route)
}

// Allows tells whether the key may use a route of this name.
func (k *Key) Allows(route string) bool {
	if len(k.Routes) == 0 {
		return true
	}
	route = strings.ReplaceAll(route, "/", "\x00")
	return slices.ContainsFunc(k.Routes, func(allowed string) bool {
		ok, err := path.Match(pattern(allowed), route)
		return ok && err == nil
	})
}

// identity is who asks with the key. Its claims are name and metadata.
func (k *Key) identity() *identity.Identity {
	claims, err := json.Marshal(struct {
		Name     string            `json:"name,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}{k.Name, k.Metadata})
	if err != nil {
		panic("keys: " + err.Error()) // texts only
	}
	return &identity.Identity{Method: "key", Subject: k.Owner, Key: k.ID, Scopes: k.Scopes, Claims: claims}
}

// record is a key as the engine keeps it.
type record struct {
	ID       string            `json:"id"`
	Hash     []byte            `json:"hash"` // SHA-256 of the secret, which has 130 random bits: a slow hash would protect nothing more
	Owner    string            `json:"owner"`
	Name     string            `json:"name,omitempty"`
	Scopes   []string          `json:"scopes,omitempty"`
	Routes   []string          `json:"routes,omitempty"`
	Quota    string            `json:"quota,omitempty"`
	Created  time.Time         `json:"created"`
	Expires  *time.Time        `json:"expires,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

func (k *Key) record(hash []byte) *record {
	r := &record{ID: k.ID, Hash: hash, Owner: k.Owner, Name: k.Name, Scopes: k.Scopes, Routes: k.Routes, Quota: k.Quota.String(), Created: k.Created, Metadata: k.Metadata}
	if !k.Expires.IsZero() {
		r.Expires = &k.Expires
	}
	return r
}

func (r *record) key() (*Key, error) {
	quota, err := config.ParseRate(r.Quota)
	if err != nil {
		return nil, err
	}
	k := &Key{ID: r.ID, Created: r.Created, Spec: Spec{Owner: r.Owner, Name: r.Name, Scopes: r.Scopes, Routes: r.Routes, Quota: quota, Metadata: maps.Clone(r.Metadata)}}
	if r.Expires != nil {
		k.Expires = *r.Expires
	}
	return k, nil
}
