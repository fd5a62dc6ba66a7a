package history

import (
	"strings"
	"testing"
)

// unescape is the name that escape made token of; false when it made none.
func unescape(token string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if isPlain(c) {
			b.WriteByte(c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", false
		}
		high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if high < 0 || low < 0 || isPlain(byte(high<<4|low)) {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), true
}

func FuzzEscape(f *testing.F) {
	for _, name := range []string{"", "chat:1", "a.b.*.>", "ünï 🎉", "=", "==3D", "$JS.API", "x=41", "\x00\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		token := escape(name)
		if strings.ContainsAny(token, ".*> \t\r\n/\\") {
			t.Fatalf("%q is no token", token)
		}
		if back, ok := unescape(token); !ok || back != name {
			t.Fatalf("%q became %q, then %q", name, token, back)
		}
		if back, ok := unescape(name); ok && escape(back) != name {
			t.Fatalf("%q and %q are one name", name, escape(back))
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add((&record{id: 1, offset: 2, epoch: "e", body: []byte("x")}).append(nil))
	f.Add((&record{removal: true, id: 1, epoch: "e"}).append(nil))
	f.Add([]byte{recordVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		again, err := parseRecord(r.append(nil))
		if err != nil || again.offset != r.offset || again.epoch != r.epoch || again.key != r.key || again.id != r.id || string(again.body) != string(r.body) {
			t.Fatalf("%+v became %+v: %v", r, again, err)
		}
		_, _ = r.publication()
	})
}
