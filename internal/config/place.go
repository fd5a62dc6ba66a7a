package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// place is where a value was set.
type place struct {
	name string // file name, `environment HEADRACE_X` or `flag`
	line int    // from 1; 0 if the name says all
	col  int    // from 1, in characters
	text string // the line
}

// String is the short form: headrace.yaml:18:7.
func (p place) String() string {
	if p.line == 0 {
		return p.name
	}
	return fmt.Sprintf("%s:%d:%d", p.name, p.line, p.col)
}

// caret is the short form, and below it the line with a mark.
func (p place) caret() string {
	if p.line == 0 || p.text == "" {
		return p.String()
	}
	number := strconv.Itoa(p.line)
	margin := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(p.text)[:min(p.col-1, len([]rune(p.text)))]))
	return fmt.Sprintf("%s\n%s | %s\n%s | %s^", p, number, p.text, strings.Repeat(" ", len(number)), margin)
}

// invalid is HR9003 for the key at path.
func invalid(p place, path, format string, args ...any) *problem.Error {
	e := problem.New("HR9003", path+": "+format, args...)
	if p == (place{}) {
		return e.At(path)
	}
	return e.At(p.caret())
}

// Nearest is the candidate with the smallest edit distance to word, or "" if none is near enough to be a slip.
func Nearest(word string, candidates []string) string {
	best, limit := "", (len(word)+2)/3
	for _, candidate := range candidates {
		if d := distance(word, candidate); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that lead from a to b, in bytes; keys are ASCII.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, row[j]+1, above[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
