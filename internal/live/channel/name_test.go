package channel

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, want := range map[string]Name{
		"news":              {Namespace: "", ID: "news"},
		"chat:room-1":       {Namespace: "chat", ID: "room-1"},
		"chat:a:b":          {Namespace: "chat", ID: "a:b"},
		"chat:dialog#42,43": {Namespace: "chat", ID: "dialog#42,43", users: "42,43"},
		"chat:#42":          {Namespace: "chat", ID: "#42", users: "42"},
		"dialog#42":         {Namespace: "", ID: "dialog#42", users: "42"},
		"chat:a#b#c":        {Namespace: "chat", ID: "a#b#c", users: "c"},
		"a#b:c":             {Namespace: "a#b", ID: "c"},
		"chat:größe 👩‍💻":    {Namespace: "chat", ID: "größe 👩‍💻"},
		"chat:* > .$":       {Namespace: "chat", ID: "* > .$"},
	} {
		want.Full = name
		got, err := Parse(name, 255)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"", ":", ":a", "a:", "a#", "chat:a#,", "chat:a#42,", "chat:a#,42", "chat:a#1,,2", "a\x00", "a\nb", "a\x7f", "a\u0085", "a\u202e", "a\u2028", "a\xff", "\xc0\x80",
		strings.Repeat("a", 256),
	} {
		if got, err := Parse(name, 255); !errors.Is(err, ErrName) || got != (Name{}) {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
	}
	if _, err := Parse(strings.Repeat("a", 255), 255); err != nil {
		t.Error(err)
	}
}

func TestAdmits(t *testing.T) {
	for _, c := range []struct {
		name, user string
		want       bool
	}{
		{"chat:a", "", true}, {"chat:a", "1", true}, {"chat:a#42,43", "42", true}, {"chat:a#42,43", "43", true}, {"chat:a#42,43", "4", false},
		{"chat:a#42,43", "42,43", false}, {"chat:a#42,43", "", false}, {"a#b:c", "x", true},
	} {
		n, err := Parse(c.name, 255)
		if err != nil || n.Admits(c.user) != c.want {
			t.Errorf("%s admits %q: %v, %v", c.name, c.user, n.Admits(c.user), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"news", "chat:a#42,43", "::", "#", "a:#,", "chat:größe"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		n, err := Parse(name, 64)
		if err != nil {
			return
		}
		full := n.ID
		if n.Namespace != "" {
			full = n.Namespace + ":" + n.ID
		}
		if full != name || len(name) > 64 || n.ID == "" || n.Limited() != (len(n.Users()) > 0) || slices.Contains(n.Users(), "") || n.Limited() && n.Admits("") {
			t.Fatalf("%q: %+v", name, n)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if n, err := Parse("chat:room-12345", 255); err != nil || !n.Admits("42") {
			b.Fatal(err)
		}
	}
}
