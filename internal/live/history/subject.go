package history

import (
	"strings"
	"unicode/utf8"

	"github.com/headrace/headrace/internal/problem"
)

// maxChannel is the longest name of a channel in bytes.
const maxChannel = 255

const hexDigits = "0123456789ABCDEF"

// checkChannel refuses names that cannot be a subject.
func checkChannel(name string) error {
	switch {
	case name == "":
		return problem.New("HR3051", "channel has no name")
	case len(name) > maxChannel:
		return problem.New("HR3051", "channel name has %d bytes, the limit is %d", len(name), maxChannel)
	case !utf8.ValidString(name):
		return problem.New("HR3051", "channel name is not UTF-8")
	}
	return nil
}

// escape makes one token of a subject, which is also good for the name of a stream: letters, digits, - and _ stay, every other
// byte becomes = and two hexadecimal digits.
func escape(name string) string {
	plain := 0
	for i := range len(name) {
		if isPlain(name[i]) {
			plain++
		}
	}
	if plain == len(name) {
		return name
	}
	var b strings.Builder
	b.Grow(plain + 3*(len(name)-plain))
	for i := range len(name) {
		if c := name[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
