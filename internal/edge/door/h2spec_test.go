package door

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// otherwise is the case that a plain door, which serves HTTP/1.1 as well, answers in another way, and why that is right.
var otherwise = map[string]string{
	"Sends invalid connection preface": "on the plain door it is a request of HTTP/1.1, answered with 400",
}

// TestH2Spec holds both doors for HTTP/2 against all cases of h2spec.
func TestH2Spec(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	tool := filepath.Join(t.TempDir(), "h2spec")
	build := exec.Command("go", "build", "-o", tool, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Dir = filepath.Join("..", "..", "..", "test", "h2spec")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("h2spec cannot be built, which takes its modules: %s", out)
	}
	r := newRig(t, all)
	for name, address := range map[string]net.Addr{"TLS": r.SecureAddr(), "h2c": r.Addr()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port, _ := net.SplitHostPort(address.String())
			args := []string{"-h", host, "-p", port, "-P", "/sized", "-o", "3"}
			if name == "TLS" {
				args = append(args, "-t", "-k")
			}
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			out, _ := exec.CommandContext(ctx, tool, args...).CombinedOutput()
			summary := regexp.MustCompile(`\d+ tests, \d+ passed, \d+ skipped, \d+ failed`).FindString(string(out))
			if summary == "" {
				t.Fatalf("%s", out)
			}
			for _, failed := range regexp.MustCompile(`(?m)× \d+: (.*)$`).FindAllStringSubmatch(string(out), -1) {
				if title := strings.TrimSpace(failed[1]); otherwise[title] == "" || name == "TLS" && strings.Contains(title, "preface") {
					t.Errorf("%s", title)
				}
			}
			t.Log(summary)
		})
	}
}
