package exchange

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
)

func TestCaller(t *testing.T) {
	c := config.Default().Server
	most := int(c.MaxClaims)
	fits := `{"a":"` + strings.Repeat("x", most-8) + `"}`
	r := &Request{server: &Server{options: Options{Log: slog.New(slog.DiscardHandler)}}}
	if got := r.Caller(&c); got != (identity.Caller{}) {
		t.Errorf("nobody is %+v", got)
	}
	for claims, want := range map[string]string{
		"": "", "null": "", "[1]": "", `{}`: `{}`, " {\"a\": 1}\n": `{"a": 1}`, `{"a":1`: "", `{"a":1,"a":2}`: "", "{\"a\":\"\xff\"}": "",
		fits: fits, fits + " ": fits, strings.Replace(fits, "x", "xx", 1): "", `{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`: "",
	} {
		r.Identity = &identity.Identity{Method: "jwt", Subject: "ann", Claims: []byte(claims)}
		if got := r.Caller(&c); got != (identity.Caller{User: "ann", Method: "jwt", Claims: want}) {
			t.Errorf("%.40q: %+v", claims, got)
		}
	}
	if c.MaxClaims = 0; r.Caller(&c).Claims != "" {
		t.Error("claims are told where none may be")
	}
}
