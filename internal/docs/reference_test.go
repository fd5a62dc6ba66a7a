package docs_test

import (
	"testing"

	"github.com/headrace/headrace/internal/docs"
)

func TestGeneratedPages(t *testing.T) {
	generated, err := docs.Pages()
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range generated {
		if read(t, path) != text {
			t.Errorf("%s is stale: go run ./internal/docs/generate", path)
		}
	}
}
