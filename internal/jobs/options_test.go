package jobs

import (
	"testing"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"queue", ""}, {"queue", "a b"}, {"queue", "a/b"}, {"queue", ".."}, {"queue", "ä"}, {"key_limit", "0"}, {"key_limit", "-1"}, {"key_limit", "x"}, {"timeout", "0s"},
		{"expires", "0s"}, {"retries", "-1"}, {"run_at", "1h"}, {"delay", "-1s"}, {"priority", "urgent"}, {"unique_policy", "both"}, {"after_policy", "go"}, {"colour", "red"},
	} {
		var r Request
		if p := problem.From(r.Option(c.name, c.value)); p == nil || p.Code != "HR2004" || p.Where != c.name {
			t.Errorf("%s=%s: %v", c.name, c.value, p)
		}
	}
	var r Request
	for name, value := range map[string]string{"queue": "mail.eu-1_b:x", "key_limit": "1", "timeout": "1ms", "expires": "7d", "delay": "0s", "tags": ""} {
		if err := r.Option(name, value); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if r.Queue != "mail.eu-1_b:x" || r.Timeout != time.Millisecond || r.Tags == nil || len(r.Tags) != 0 {
		t.Errorf("%+v", r)
	}
}
