package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// block is a fenced block of a page.
type block struct {
	line   int
	lang   string
	marks  []string // what follows the language, as in run or file=app.py
	indent string
	text   string
}

func (b *block) is(marks ...string) bool {
	if len(b.marks) != len(marks) {
		return false
	}
	for i, m := range marks {
		if b.marks[i] != m {
			return false
		}
	}
	return true
}

// file is the name in the mark file=NAME.
func (b *block) file() string {
	if len(b.marks) == 1 {
		if name, ok := strings.CutPrefix(b.marks[0], "file="); ok {
			return name
		}
	}
	return ""
}

// read returns a page as text.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks takes a page apart.
func blocks(text string) (list []block) {
	var open *block
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch info, fence := strings.CutPrefix(trimmed, "```"); {
		case fence && open == nil:
			words := strings.Fields(info)
			open = &block{line: i + 1, indent: line[:len(line)-len(trimmed)]}
			if len(words) > 0 {
				open.lang, open.marks = words[0], words[1:]
			}
		case fence:
			list = append(list, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, open.indent) + "\n"
		}
	}
	return list
}

// prose is a page without its fenced blocks and code spans.
func prose(text string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			inside = !inside
		} else if !inside {
			b.WriteString(line)
		}
	}
	return b.String()
}

// pages are the Markdown files below some folders, by their path from the root.
func pages(t *testing.T, roots ...string) (list []string) {
	t.Helper()
	for _, from := range roots {
		err := filepath.WalkDir(filepath.Join(root, from), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
				rel, _ := filepath.Rel(root, path)
				list = append(list, filepath.ToSlash(rel))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}
