// Command generate writes the generated pages of docs/reference. Run it from the root of the repository.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/headrace/headrace/internal/docs"
)

func main() {
	pages, err := docs.Pages()
	for path, text := range pages {
		if err == nil {
			err = os.WriteFile(filepath.FromSlash(path), []byte(text), 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
