package spec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/spec"
)

// Every path and every schema of the files is in the document, and no file is too long to read.
func TestOpenAPIIsWhole(t *testing.T) {
	const most = 25_000 // bytes
	files, err := filepath.Glob("openapi/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	document := "\n" + string(spec.OpenAPI())
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > most {
			t.Errorf("%s has %d bytes", file, len(text))
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "  ") && strings.Count(document, "\n"+line) == 0 {
				t.Errorf("%s: the document lacks %s", file, line)
			}
		}
	}
	for _, section := range []string{"paths:", "components:", "  schemas:"} {
		if n := strings.Count(document, "\n"+section+"\n"); n != 1 {
			t.Errorf("the document has %d times %s", n, section)
		}
	}
}
