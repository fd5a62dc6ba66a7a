package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/problem"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

func openEngine(t testing.TB, data string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Data: data, MinFree: -1}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { stopAll(t, e.Stop) })
	return e
}

func open(t testing.TB, e *engine.Engine) *Store {
	t.Helper()
	s, err := Open(t.Context(), e, slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	t.Cleanup(func() { stopAll(t, s.Stop) })
	return s
}

func stopAll(t testing.TB, stops ...func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, stop := range stops {
		if err := stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

func until(t testing.TB, what string, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("in vain: " + what)
		}
	}
	return time.Since(began)
}

func TestCreateFindRevoke(t *testing.T) {
	e := openEngine(t, t.TempDir())
	a, b := open(t, e), open(t, e) // two nodes on one engine
	key, text, err := a.Create(t.Context(), Spec{Owner: "ann", Name: "ci", Scopes: []string{"read"}, Metadata: map[string]string{"plan": "gold"}})
	must(t, err)
	until(t, "the other node knows the key", func() bool { _, _, err := b.Find([]byte(text)); return err == nil })
	_, who, err := b.Find([]byte(text))
	must(t, err)
	if who.Subject != "ann" || who.Key != key.ID || who.Claim("metadata.plan") != "gold" || who.Method != "key" || who.Scopes[0] != "read" {
		t.Error(who)
	}
	if list := b.List("ann"); len(list) != 1 || list[0].ID != key.ID || len(b.List("bob")) != 0 {
		t.Error(list)
	}
	for _, wrong := range []string{"", "hr_", text[:len(text)-1], text + "a", "xx" + text[2:], text[:20] + "a" + text[21:]} {
		if _, _, err := a.Find([]byte(wrong)); wrong != text && code(err) != "HR4044" {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	other, _ := generateWith(key.ID)
	if _, _, err := a.Find([]byte(other)); code(err) != "HR4044" {
		t.Error("a key with the same id and another secret passes")
	}
	must(t, a.Delete(t.Context(), key.ID))
	if _, _, err := a.Find([]byte(text)); code(err) != "HR4044" {
		t.Error("a revoked key passes where it was revoked", err)
	}
	if took := until(t, "the other node has forgotten the key", func() bool { _, _, err := b.Find([]byte(text)); return err != nil }); took > 10*time.Second {
		t.Error("a revoke took", took)
	}
	if err := a.Delete(t.Context(), key.ID); code(err) != "HR4060" {
		t.Error(err)
	}
	if _, _, err := a.Get(key.ID); code(err) != "HR4060" {
		t.Error(err)
	}
}

// generateWith makes another key of the same id.
func generateWith(id string) (string, string) {
	_, text := generate()
	body := prefix + id + text[len(prefix)+idSize:size-checkSize]
	check := checksum([]byte(body))
	return body + string(check[:]), id
}

func TestRestart(t *testing.T) {
	data := t.TempDir()
	first := openEngine(t, data)
	s := open(t, first)
	now := time.Date(2026, 1, 2, 3, 4, 30, 0, time.UTC)
	s.now = func() time.Time { return now }
	key, text, err := s.Create(t.Context(), Spec{Owner: "ann", Quota: config.Rate{N: 3, Per: time.Minute}})
	must(t, err)
	for range 2 {
		if _, err := s.Count(key); err != nil {
			t.Fatal(err)
		}
	}
	stopAll(t, s.Stop, first.Stop)
	again := open(t, openEngine(t, data))
	again.now = s.now
	found, _, err := again.Find([]byte(text))
	must(t, err)
	if _, u, _ := again.Get(key.ID); u.Count != 2 || !u.Used.Equal(now) {
		t.Error(u)
	}
	_, err = again.Count(found)
	must(t, err)
	wait, err := again.Count(found)
	if code(err) != "HR4046" || wait != 30*time.Second {
		t.Error(wait, err)
	}
	now = now.Add(30 * time.Second)
	if _, err := again.Count(found); err != nil {
		t.Error("the next period has its own quota:", err)
	}
}

// Nodes know what the others have counted once these have told it.
func TestQuotaOfAllNodes(t *testing.T) {
	a, b := &meter{quota: 10, per: 60}, &meter{quota: 10, per: 60}
	now := time.Unix(600, 0)
	for range 6 {
		a.count(now)
	}
	b.others = map[string]tally{"a": a.own}
	passed := 0
	for range 10 {
		if b.count(now) == 0 {
			passed++
		}
	}
	if passed != 4 {
		t.Error(passed)
	}
}

func TestExpiry(t *testing.T) {
	s := open(t, openEngine(t, t.TempDir()))
	now := time.Now()
	s.now = func() time.Time { return now }
	_, text, err := s.Create(t.Context(), Spec{Owner: "ann", Expires: now.Add(time.Minute)})
	must(t, err)
	_, _, err = s.Find([]byte(text))
	must(t, err)
	now = now.Add(time.Minute)
	if _, _, err := s.Find([]byte(text)); code(err) != "HR4044" {
		t.Error(err)
	}
}

func TestSpecs(t *testing.T) {
	now := time.Now()
	for at, spec := range map[string]Spec{
		"/owner":    {},
		"/name":     {Owner: "a", Name: string(make([]byte, maxText+1))},
		"/scopes":   {Owner: "a", Scopes: []string{"a b"}},
		"/routes":   {Owner: "a", Routes: []string{""}},
		"/quota":    {Owner: "a", Quota: config.Rate{N: 1, Per: time.Millisecond}},
		"/expires":  {Owner: "a", Expires: now},
		"/metadata": {Owner: "a", Metadata: map[string]string{"": "x"}},
	} {
		if err := spec.check(now); code(err) != "HR4061" || problem.From(err).Where != at {
			t.Error(at, err)
		}
	}
	name := make([]byte, maxText)
	for i := range name {
		name[i] = 'x'
	}
	must(t, (&Spec{Owner: string(name), Scopes: names("s", maxList)}).check(now))
	if (&Spec{Owner: "a", Scopes: names("s", maxList+1)}).check(now) == nil {
		t.Error("too many scopes")
	}
}

func names(text string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(text, i))
	}
	return list
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		routes []string
		route  string
		want   bool
	}{
		{nil, "/orders", true}, {[]string{"/orders"}, "/orders", true}, {[]string{"/orders"}, "/orders/1", false}, {[]string{"/orders*"}, "/orders/1", true},
		{[]string{"a", "/x/*"}, "/x/y/z", true}, {[]string{"*"}, "anything/at all", true}, {[]string{"/a/{id}"}, "/a/{id}", true}, {[]string{"/a?"}, "/ab", false},
		{[]string{"/[a]"}, "/a", false}, {[]string{"/[a]"}, "/[a]", true},
	} {
		if got := (&Key{Spec: Spec{Routes: c.routes}}).Allows(c.route); got != c.want {
			t.Error(c, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	_, text := generate()
	f.Add([]byte(text))
	f.Add([]byte("hr_"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, secret, ok := Parse(text)
		if !ok {
			return
		}
		body := prefix + string(id) + "_" + string(secret)
		check := checksum([]byte(body))
		if body+string(check[:]) != string(text) {
			t.Errorf("%q", text)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	s := open(b, openEngine(b, b.TempDir()))
	key, text, err := s.Create(b.Context(), Spec{Owner: "ann", Quota: config.Rate{N: 1 << 30, Per: time.Hour}})
	must(b, err)
	raw := []byte(text)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Find(raw); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Count(key); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSecret(t *testing.T) {
	data := t.TempDir()
	e := openEngine(t, data)
	a, b := open(t, e), open(t, e)
	first, err := a.Secret(t.Context(), "login")
	must(t, err)
	second, err := b.Secret(t.Context(), "login")
	must(t, err)
	other, err := b.Secret(t.Context(), "other")
	must(t, err)
	stopAll(t, a.Stop, b.Stop, e.Stop)
	again, err := open(t, openEngine(t, data)).Secret(t.Context(), "login")
	must(t, err)
	if string(first) != string(second) || string(first) != string(again) || string(first) == string(other) || len(first) != SecretSize {
		t.Error(first, second, again, other)
	}
}
