package certs

import (
	"os"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// TestBrokenFiles names the files in what is wrong.
func TestBrokenFiles(t *testing.T) {
	one := config.Certificate{Certificate: t.TempDir() + "/a.crt", Key: t.TempDir() + "/a.key"}
	for _, file := range []string{one.Certificate, one.Key} {
		if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := loadFiles([]config.Certificate{one})
	if p := problem.From(err); err == nil || p.Code != "HR4032" || !strings.HasPrefix(p.What, one.Certificate+" with "+one.Key+": ") {
		t.Error(err)
	}
}
