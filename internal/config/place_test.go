package config_test

import (
	"testing"

	"github.com/headrace/headrace/internal/config"
)

func TestNearest(t *testing.T) {
	words := []string{"listen", "max_body", "max_json", "job", "queue"}
	for word, want := range map[string]string{
		"lisen": "listen", "jbo": "job", "jobs": "job", "max_boyd": "max_body", "maxjson": "max_json", "queues": "queue", "": "", "x": "", "retention": "",
	} {
		if got := config.Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
