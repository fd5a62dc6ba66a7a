package service

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for command, want := range map[string][]string{
		"node server.js":                      {"node", "server.js"},
		"  a\t b\n c ":                        {"a", "b", "c"},
		`a 'b c' "d e"`:                       {"a", "b c", "d e"},
		`a 'it''s' "x"'y'z`:                   {"a", "its", "xyz"},
		`a '' ""`:                             {"a", "", ""},
		`a "say \"hi\" \\ \n $HOME"`:          {"a", `say "hi" \ \n $HOME`},
		`a '\' \' b\ c`:                       {"a", `\`, "'", "b c"},
		`a $HOME *.py ~ | wc > f; b && c`:     {"a", "$HOME", "*.py", "~", "|", "wc", ">", "f;", "b", "&&", "c"},
		"uvicorn app:app --uds {socket}":      {"uvicorn", "app:app", "--uds", "{socket}"},
		`sh -c 'exec serve "$PORT" # really'`: {"sh", "-c", `exec serve "$PORT" # really`},
	} {
		if got, err := Split(command); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v", command, got, err)
		}
	}
	for command, want := range map[string]string{
		"": "no program", " \n": "no program", "'' a": "no program", `a 'b`: "not closed", `a "b\"`: "not closed", `a \`: "after the last", "a\x00": "zero",
	} {
		if got, err := Split(command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q %v", command, got, err)
		}
	}
}

// FuzzSplit quotes the words that came out, which must give the same words.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{"node server.js", `a 'b c' "d\"e" \ f`, `''`, `"`, `\`, "\\\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := Split(text)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		if again, err := Split(strings.Join(quoted, " ")); err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, then %q %v", text, words, again, err)
		}
	})
}
