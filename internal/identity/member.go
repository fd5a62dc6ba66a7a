package identity

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// members visits the members of a JSON object in order. Names are compared as they are, not regardless of case as encoding/json does,
// and no name may appear twice: who signs a token and who reads it must not disagree about what it says.
func members(object []byte, visit func(name string, value []byte) error) error {
	if !json.Valid(object) {
		return invalid("it is not JSON")
	}
	rest := bytes.TrimLeft(object, " \t\r\n")
	if rest[0] != '{' {
		return invalid("it is not a JSON object")
	}
	var few [16]string
	seen := few[:0]
	rest = space(rest[1:])
	for rest[0] != '}' {
		end := value(rest)
		name, err := text(rest[:end])
		if err != nil {
			return err
		}
		for _, other := range seen {
			if other == name {
				return invalid("%q appears twice", name)
			}
		}
		if len(seen) == maxMembers {
			return invalid("it has more than %d members", maxMembers)
		}
		seen = append(seen, name)
		rest = space(space(rest[end:])[1:]) // behind the colon
		end = value(rest)
		if err := visit(name, rest[:end:end]); err != nil {
			return err
		}
		if rest = space(rest[end:]); rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	return nil
}

// maxMembers bounds the search for names that appear twice.
const maxMembers = 256

func space(b []byte) []byte {
	for b[0] <= ' ' {
		b = b[1:]
	}
	return b
}

// value is the length of the JSON value that b, which is valid, begins with.
func value(b []byte) int {
	switch b[0] {
	case '"':
		return quoted(b)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch b[i] {
			case '"':
				i += quoted(b[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	return bytes.IndexAny(b, ",}] \t\r\n") // an object ends behind it
}

// quoted is the length of the JSON text that b begins with.
func quoted(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// text decodes a JSON text.
func text(b []byte) (string, error) {
	if len(b) > 1 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) {
		return string(b[1 : len(b)-1]), nil
	}
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return "", invalid("a member is not a text")
	}
	return *s, nil
}
