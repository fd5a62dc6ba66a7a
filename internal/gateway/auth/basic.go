package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/auth/htpasswd"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// passwords is the way basic.
type passwords struct {
	users   map[string][]byte
	grants  map[string]*grant
	dummy   []byte // a hash for names that nobody has, so that they take as long as others
	cache   time.Duration
	salt    [sha256.Size]byte // of the names in known, which so tell nothing of passwords
	known   *recall[[sha256.Size]byte, *grant]
	slots   chan struct{} // held while hashing, or waiting for it
	hashing chan struct{}
}

const (
	knownPasswords = 1024
	maxHashing     = 64 // requests that hash, or wait for it; more are refused
	maxBasic       = 1024
)

func addBasic(c *config.Auth, d Deps, p *policy) error {
	if c.Basic == nil {
		return nil
	}
	text, err := os.ReadFile(c.Basic.File)
	if err != nil {
		return problem.New("HR9003", "passwords: %w", err).At("auth.basic.file")
	}
	b := &passwords{grants: map[string]*grant{}, cache: c.Basic.Cache, known: newRecall[[sha256.Size]byte, *grant](knownPasswords), slots: make(chan struct{}, maxHashing), hashing: d.Registry.hashing}
	if b.users, err = htpasswd.Parse(text); err != nil {
		return problem.New("HR9003", "passwords: %w", err).At(c.Basic.File)
	}
	_, _ = rand.Read(b.salt[:]) // never fails
	cost := bcrypt.MinCost
	for name, hash := range b.users {
		who := &identity.Identity{Method: "basic", Subject: name}
		b.grants[name] = &grant{who, p.headers.of(who)}
		if n, err := bcrypt.Cost(hash); err == nil && n > cost {
			cost = n
			b.dummy = hash
		}
	}
	for _, hash := range b.users {
		if b.dummy == nil {
			b.dummy = hash
		}
	}
	p.add("basic", b.ask, `Basic charset="UTF-8"`)
	return nil
}

func (b *passwords) ask(r *exchange.Request) (*grant, error) {
	value, err := one(r, "Authorization")
	if err != nil {
		return nil, err
	}
	encoded := scheme(value, "Basic")
	if encoded == nil {
		return nil, nil
	}
	name, password, ok := parseBasic(encoded)
	if !ok {
		return nil, problem.New("HR4047", "the header Authorization is not a name and a password in base64")
	}
	return b.check(name, password)
}

// parseBasic reads what stands behind Basic (RFC 7617).
func parseBasic(encoded []byte) (name, password []byte, ok bool) {
	if len(encoded) > maxBasic {
		return nil, nil, false
	}
	text := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Strict().Decode(text, encoded)
	if err != nil || bytes.ContainsAny(encoded, "\r\n") {
		return nil, nil, false
	}
	name, password, ok = bytes.Cut(text[:n], []byte(":"))
	if !ok || bytes.ContainsFunc(text[:n], func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return nil, nil, false
	}
	return name, password, true
}

// check hashes the password, or remembers that it was right or wrong a moment ago.
func (b *passwords) check(name, password []byte) (*grant, error) {
	now := time.Now()
	h := sha256.New()
	h.Write(b.salt[:])
	h.Write(name)
	h.Write([]byte{':'})
	h.Write(password)
	key := [sha256.Size]byte(h.Sum(nil))
	found, ok := b.known.get(key, now)
	if !ok {
		select {
		case b.slots <- struct{}{}:
		default:
			return nil, problem.New("HR4054", "%d passwords are being checked", maxHashing)
		}
		found = b.verify(name, password)
		<-b.slots
		if b.cache > 0 {
			b.known.put(key, found, now, b.cache)
		}
	}
	if found == nil {
		return nil, problem.New("HR4047", "the user name or the password is wrong")
	}
	return found, nil
}

// verify takes as long for a name that nobody has.
func (b *passwords) verify(name, password []byte) *grant {
	b.hashing <- struct{}{}
	defer func() { <-b.hashing }()
	hash, ok := b.users[string(name)]
	if !ok {
		hash = b.dummy
	}
	if len(password) > 72 { // bcrypt reads no more; a hash was never made of more by programs that know it
		password = append(password[:71:71], 0)
		ok = false
	}
	if bcrypt.CompareHashAndPassword(hash, password) != nil || !ok {
		return nil
	}
	return b.grants[string(name)]
}
