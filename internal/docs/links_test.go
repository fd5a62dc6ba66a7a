package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/docs"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	named   = regexp.MustCompile(`<a id="([^"]+)">`)
	code    = regexp.MustCompile("`[^`\n]*`")
	markup  = regexp.MustCompile("[`*]|\\[|\\]\\([^)]*\\)")
)

// anchors are the places in a page that a link can name.
func anchors(text string) map[string]bool {
	list := map[string]bool{}
	text = prose(text)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		list[docs.Anchor(markup.ReplaceAllString(m[1], ""))] = true
	}
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		list[m[1]] = true
	}
	return list
}

// TestLinks checks that each link inside of the repository leads to a file, and to a place in it.
func TestLinks(t *testing.T) {
	for _, page := range append(pages(t, "docs"), "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "sdk/python/README.md", "spec/frame.md") {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(prose(read(t, page)), ""), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path, place, _ := strings.Cut(target, "#")
			if path == "" {
				path = page
			} else {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
			}
			info, err := os.Stat(filepath.Join(root, path))
			switch {
			case err != nil:
				t.Errorf("%s: link to %s: there is no %s", page, target, path)
			case place != "" && (info.IsDir() || !anchors(read(t, path))[place]):
				t.Errorf("%s: link to %s: there is no #%s in %s", page, target, place, path)
			}
		}
	}
}

// TestReached checks that each page is linked from another one.
func TestReached(t *testing.T) {
	all := append(pages(t, "docs"), "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
	reached := map[string]bool{"README.md": true}
	for _, page := range all {
		for _, m := range link.FindAllStringSubmatch(prose(read(t, page)), -1) {
			path, _, _ := strings.Cut(m[1], "#")
			if to := filepath.ToSlash(filepath.Join(filepath.Dir(page), path)); to != page {
				reached[to] = true
			}
		}
	}
	for _, page := range all {
		if !reached[page] {
			t.Errorf("no page links to %s", page)
		}
	}
}
