package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func env(t testing.TB, user, id, claims string, users ...string) Env {
	t.Helper()
	e := Env{User: user, Client: "c1", Channel: "chat:" + id, ID: id, Users: users}
	if claims != "" {
		if err := json.Unmarshal([]byte(claims), &e.Claims); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func TestAllow(t *testing.T) {
	const claims = `{"role":"admin","level":5,"rooms":["a","b"],"org":{"name":"acme"},"ok":true,"teams":[{"id":"x"},{"id":"room"}]}`
	for _, c := range []struct {
		rule string
		env  Env
		want bool
	}{
		{"", Env{User: "a"}, false},
		{" \n", Env{User: "a"}, false},
		{"false", Env{User: "a"}, false},
		{"true", Env{}, true},
		{" true\n", Env{}, true},
		{"not false", Env{}, true},
		{`user != ""`, env(t, "42", "x", ""), true},
		{`user != ""`, env(t, "", "x", ""), false},
		{`id == user`, env(t, "42", "42", ""), true},
		{`id == "user-" + user`, env(t, "42", "user-42", ""), true},
		{`channel == "chat:x" && client == "c1"`, env(t, "", "x", ""), true},
		{`user in users`, env(t, "42", "x#42,43", "", "42", "43"), true},
		{`user in users`, env(t, "44", "x#42,43", "", "42", "43"), false},
		{`user in users`, env(t, "", "x", ""), false},
		{`claims.role == "admin"`, env(t, "", "x", claims), true},
		{`claims.role == "admin"`, env(t, "", "x", ""), false},
		{`claims.role in ["admin", "moderator"]`, env(t, "", "x", claims), true},
		{`claims.level >= 3`, env(t, "", "x", claims), true},
		{`claims.level >= 3`, env(t, "", "x", `{"level":"5"}`), false},
		{`claims.level >= 3`, env(t, "", "x", ""), false},
		{`id in claims.rooms`, env(t, "", "a", claims), true},
		{`id in claims.rooms`, env(t, "", "a", ""), false},
		{`id in claims.rooms`, env(t, "", "a", `{"rooms":5}`), false},
		{`claims.org.name == "acme"`, env(t, "", "x", claims), true},
		{`claims.org.name == "acme"`, env(t, "", "x", ""), false},
		{`claims.org?.name == "acme"`, env(t, "", "x", `{"org":null}`), false},
		{`claims.ok`, env(t, "", "x", claims), true},
		{`claims.ok`, env(t, "", "x", `{"ok":"true"}`), false},
		{`claims.ok`, env(t, "", "x", ""), false},
		{`not claims.banned`, env(t, "", "x", claims), false},
		{`claims.banned != true`, env(t, "", "x", claims), true},
		{`any(claims.teams, .id == id)`, env(t, "", "room", claims), true},
		{`any(claims.teams, .id == id)`, env(t, "", "other", claims), false},
		{`any(claims.teams, .id == id)`, env(t, "", "room", `{"teams":[null]}`), false},
		{`any(claims.teams, # == id)`, env(t, "", "room", `{"teams":{"room":1}}`), false},
		{`count(claims.rooms, # startsWith "a") == 1`, env(t, "", "x", claims), true},
		{`id matches "^room-[0-9]+$"`, env(t, "", "room-12", ""), true},
		{`id matches "^room-[0-9]+$"`, env(t, "", "room-x", ""), false},
		{`split(id, "-")[0] == "room"`, env(t, "", "room-x", ""), true},
		{`split(id, "-")[1] == "x"`, env(t, "", "room", ""), false},
		{`id[99:100] == "x" || users[5] == ""`, env(t, "", "x", ""), false},
		{`claims["role"] == "admin" ? true : user == "root"`, env(t, "root", "x", ""), true},
	} {
		r, err := Compile(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		if got := r.Allow(c.env); got != c.want {
			t.Errorf("%s of %+v: got %v", c.rule, c.env, got)
		}
	}
	var none *Rule
	if none.Allow(Env{User: "a"}) || none.String() != "" {
		t.Error("no rule allows")
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		rule         string
		line, column int
		message      string // a part
		hint         string // a part
	}{
		{`usr == "a"`, 1, 1, "unknown name usr", "user, client"},
		{`user == "a" &&`, 1, 14, "unexpected token EOF", ""},
		{`user = "a"`, 1, 6, "", "=="},
		{`user`, 1, 1, "expected bool", "comparison"},
		{`user == 5`, 1, 6, "mismatched types", "quotes"},
		{"user == \"a\" &&\n  idd == \"b\"", 2, 3, "unknown name idd", ""},
		{`user == "ä" && idd == ""`, 1, 16, "unknown name idd", ""},
		{`all(1..1000000, # > 0)`, 1, 6, "a range", ""},
		{`all(users, any(users, # == user))`, 1, 0, "a loop in a loop", ""},
		{`any(map(users, # + #), # == "x")`, 1, 18, "a sum in a loop", ""},
		{`let x = user + user; x == id`, 1, 5, "a variable", ""},
		{`id matches user`, 1, 4, "a pattern", ""},
		{`id matches "("`, 1, 12, "missing closing )", ""},
		{`reduce(users, #acc == #) == "a"`, 1, 1, "reduce is not for rules", "the functions are"},
		{`repeat(user, 1000000) == id`, 1, 1, "repeat is not for rules", ""},
		{`2 ** 10000 > 5`, 1, 3, "a power", ""},
		{`exec("x")`, 1, 1, "an unknown function", ""},
		{`claims.f()`, 1, 0, "an unknown function", ""},
		{`$env["user"] == "a"`, 1, 1, "unknown name $env", ""},
		{`user == "a"; true`, 1, 0, "several expressions", ""},
		{`any(users, len(split(#, "a")) > 1)`, 1, 0, "in a loop", ""},
		{strings.Repeat("(", maxLength+1), 1, 1, "longer than", "function"},
		{strings.Repeat("(", maxLength), 1, 0, "", ""},
		{"user == id" + strings.Repeat(" && user == id", 100), 1, 0, "", ""},
		{"\x00", 1, 1, "", ""},
		{"\xff", 1, 1, "", ""},
	} {
		_, err := Compile(c.rule)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.60s: %v", c.rule, err)
			continue
		}
		if e.Line != c.line || c.column > 0 && e.Column != c.column || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) || e.Message == "" {
			t.Errorf("%.60s: got %+v", c.rule, e)
		}
	}
}

func TestConstant(t *testing.T) {
	for text, want := range map[string][2]bool{"": {false, true}, "true": {true, true}, "false": {false, true}, `user == ""`: {false, false}} {
		r, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if allow, constant := r.Constant(); allow != want[0] || constant != want[1] {
			t.Errorf("%q: %v, %v", text, allow, constant)
		}
	}
}

// The most that a rule can cost over the largest claims that a token can hold is milliseconds; the race detector makes more of it.
func TestCostIsBounded(t *testing.T) {
	claims := map[string]any{}
	list := make([]any, 8_000)
	for i := range list {
		list[i] = "a"
	}
	claims["list"] = list
	body := `lower(#) == user`
	for len(body) < 700 {
		body += ` || lower(#) == user`
	}
	for _, text := range []string{
		`any(claims.list, ` + body + `)`, `len(map(filter(claims.list, # != "b"), upper(#))) > 0 && ` + `any(claims.list, # == "c")`,
	} {
		r, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		began := used(t)
		r.Allow(Env{User: strings.Repeat("x", 255), Claims: claims})
		if took := used(t) - began; took > 2*time.Second {
			t.Errorf("%.60s took %v", text, took)
		}
	}
}

// used is the CPU time of the process, to which a machine that is busy elsewhere adds nothing.
func used(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestConcurrently(t *testing.T) {
	r, err := Compile(`user in users && claims.n == id && any(claims.list, # == user)`)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 500 {
				user := fmt.Sprint(i, j)
				e := Env{User: user, ID: user, Users: []string{"0", user}, Claims: map[string]any{"n": user, "list": []any{user}}}
				if !r.Allow(e) {
					t.Errorf("%s is denied", user)
				}
				e.ID = "other"
				if r.Allow(e) {
					t.Errorf("%s is allowed", user)
				}
			}
		})
	}
	wait.Wait()
}

// FuzzCompile: any rule is refused with a place, or compiles to one that answers in time.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		`user in users`, `claims.role == "admin" && id startsWith "room-"`, `any(claims.teams, .id == id)`, `id matches "^a+$"`,
		`len(map(claims.list, upper(#))) > 3 ? claims.a : not claims.b`, `claims["a"]?.b[1:2] ?? "x" == "y"`, `users | any(# == user)`,
	} {
		f.Add(text, "42", `{"role":"admin","teams":[{"id":"a"}],"list":["a",1,null,{"b":[]}]}`)
	}
	f.Fuzz(func(t *testing.T, text, user, claims string) {
		r, err := Compile(text)
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Message == "") {
			t.Fatalf("%#v", err)
		}
		if err != nil {
			return
		}
		in := Env{User: user, Client: "c", Channel: "chat:" + user, ID: user, Users: []string{user, "x"}}
		if json.Unmarshal([]byte(claims), &in.Claims) != nil {
			in.Claims = nil
		}
		began := time.Now()
		first := r.Allow(in)
		if took := time.Since(began); took > 10*time.Second {
			t.Fatalf("took %v", took)
		}
		if !strings.Contains(text, "now") && r.Allow(in) != first {
			t.Fatal("two answers")
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	e := env(b, "42", "dialog#42,43", `{"role":"admin","teams":[{"id":"x"}]}`, "42", "43")
	for _, text := range []string{"true", `user in users`, `claims.role == "admin" && id startsWith "dialog"`, `any(claims.teams, .id == "x")`} {
		r, err := Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !r.Allow(e) {
					b.Fatal("denied")
				}
			}
		})
	}
}
