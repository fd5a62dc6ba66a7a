package auth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/headrace/headrace/internal/gateway/auth"
)

func users(t testing.TB, cost int, passwords map[string]string) string {
	t.Helper()
	text := "# users\n\n"
	for name, password := range passwords {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
		must(t, err)
		text += fmt.Sprintf("%s:$2y%s\n", name, hash[3:]) // as htpasswd writes it
	}
	file := filepath.Join(t.TempDir(), "users")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestBasic(t *testing.T) {
	at := serve(t, load(t, `{realm: staff, headers: {X-User: sub}, basic: {file: `+users(t, 4, map[string]string{"ann": "s:ecret", "bob": "größe"})+`}}`), auth.Deps{})
	basic := func(name, password string) []string {
		return []string{"Authorization", "Basic " + encode(name+":"+password)}
	}
	for range 2 {
		if e := get(t, at, basic("ann", "s:ecret")...).echoed(t); e.Method != "basic" || e.Subject != "ann" || e.Headers["X-User"] != "ann" {
			t.Error(e)
		}
		get(t, at, basic("bob", "größe")...).echoed(t)
		for _, wrong := range [][]string{basic("ann", "secret"), basic("ann", ""), basic("", "s:ecret"), basic("eve", "s:ecret"), {"Authorization", "Basic !"}, {"Authorization", "Basic " + encode("ann")}} {
			want(t, get(t, at, wrong...), 401, "HR4047")
		}
	}
	none := get(t, at)
	want(t, none, 401, "HR4040")
	if challenges(none) != `Basic realm="staff", charset="UTF-8"` {
		t.Error(challenges(none))
	}
	want(t, get(t, at, "Authorization", "Bearer x"), 401, "HR4040")
}

// BenchmarkBasic is a password that was checked a moment ago.
func BenchmarkBasic(b *testing.B) {
	p, err := auth.New(load(b, `{headers: {X-User: sub}, basic: {file: `+users(b, 12, map[string]string{"ann": "secret"})+`}}`), auth.Deps{Registry: auth.NewRegistry(), Log: logger(b)})
	must(b, err)
	benchmark(b, p, "Authorization", "Basic "+encode("ann:secret"))
}
