// Package strictjson reads JSON that came from outside: one pass over the bytes checks the grammar, UTF-8, the depth and that no
// object has a key twice, and hands out the parts as slices of the input. What it accepts, every other parser reads the same way.
package strictjson

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/headrace/headrace/internal/problem"
)

// Scanner walks a document. Its methods return HR2001 with the byte and the line where the document is broken, or HR2010 where it is
// nested too deeply. After an error the scanner is of no more use.
type Scanner struct {
	doc   []byte
	pos   int
	depth int // containers that are open
	most  int
	keys  []span // keys of the open objects, one object after another
}

// span is a key in the document, quotes excluded.
type span struct {
	from, to int
	escaped  bool
}

// New returns a scanner that allows this many containers inside each other.
func New(doc []byte, depth int) *Scanner { return &Scanner{doc: doc, most: depth} }

// Check is nil if the document is exactly one value.
func Check(doc []byte, depth int) error {
	s := New(doc, depth)
	if _, err := s.Value(); err != nil {
		return err
	}
	return s.End()
}

// Next skips white space and returns the byte that follows, 0 at the end.
func (s *Scanner) Next() byte {
	for s.pos < len(s.doc) {
		switch c := s.doc[s.pos]; c {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// Offset is the position in the document.
func (s *Scanner) Offset() int { return s.pos }

// End fails if anything but white space is left.
func (s *Scanner) End() error {
	if s.Next(); s.pos < len(s.doc) {
		return s.wrong("more data after the document")
	}
	return nil
}

// Line returns a scanner of the next line that is not blank, nil at the end, for texts with a document in each line. The places that it
// tells are those in the whole text.
func (s *Scanner) Line() *Scanner {
	if s.Next(); s.pos == len(s.doc) {
		return nil
	}
	end := len(s.doc)
	if n := bytes.IndexByte(s.doc[s.pos:], '\n'); n >= 0 {
		end = s.pos + n
	}
	line := &Scanner{doc: s.doc[:end], pos: s.pos, most: s.most}
	s.pos = end
	return line
}

// Value reads the next value, whatever it is, and returns its bytes.
func (s *Scanner) Value() ([]byte, error) {
	c := s.Next()
	from := s.pos
	var err error
	switch c {
	case '{':
		err = s.Object(nil)
	case '[':
		err = s.Array(nil)
	case '"':
		_, err = s.string()
	case 't':
		err = s.word("true")
	case 'f':
		err = s.word("false")
	case 'n':
		err = s.word("null")
	default:
		err = s.number()
	}
	return s.doc[from:s.pos:s.pos], err
}

// Text reads a string and returns what it says. The slice may be part of the document.
func (s *Scanner) Text() ([]byte, error) {
	if s.Next() != '"' {
		return nil, s.wrong("expected a string")
	}
	k, err := s.string()
	if err != nil {
		return nil, err
	}
	return s.text(k), nil
}

// Array reads an array and calls item before each element, which item must read. A nil item skips.
func (s *Scanner) Array(item func() error) error {
	if s.Next() != '[' {
		return s.wrong("expected an array")
	}
	if err := s.open(); err != nil {
		return err
	}
	if s.Next() == ']' {
		return s.close()
	}
	for {
		var err error
		if item == nil {
			_, err = s.Value()
		} else {
			err = item()
		}
		if err != nil {
			return err
		}
		switch s.Next() {
		case ',':
			s.pos++
		case ']':
			return s.close()
		default:
			return s.wrong("expected , or ] after an element")
		}
	}
}

// Object reads an object and calls member with each key before its value, which member must read. The key is valid until the object
// ends. A nil member skips.
func (s *Scanner) Object(member func(key []byte) error) error {
	if s.Next() != '{' {
		return s.wrong("expected an object")
	}
	if err := s.open(); err != nil {
		return err
	}
	first := len(s.keys)
	var seen map[string]struct{}
	if s.Next() == '}' {
		return s.close()
	}
	for {
		if s.Next() != '"' {
			return s.wrong("expected a key in quotes")
		}
		k, err := s.string()
		if err != nil {
			return err
		}
		if seen, err = s.fresh(k, first, seen); err != nil {
			return err
		}
		if s.Next() != ':' {
			return s.wrong("expected : after a key")
		}
		s.pos++
		if member == nil {
			_, err = s.Value()
		} else {
			err = member(s.text(k))
		}
		if err != nil {
			return err
		}
		switch s.Next() {
		case ',':
			s.pos++
		case '}':
			s.keys = s.keys[:first]
			return s.close()
		default:
			return s.wrong("expected , or } after a member")
		}
	}
}

// few keys are compared one by one, more are looked up.
const few = 16

// fresh fails if the open object has the key already, and remembers it.
func (s *Scanner) fresh(k span, first int, seen map[string]struct{}) (map[string]struct{}, error) {
	text := s.text(k)
	if seen == nil {
		for _, other := range s.keys[first:] {
			if bytes.Equal(s.text(other), text) {
				return nil, s.twice(k, text)
			}
		}
		s.keys = append(s.keys, k)
		if len(s.keys)-first <= few {
			return nil, nil
		}
		seen = map[string]struct{}{}
		for _, other := range s.keys[first:] {
			seen[string(s.text(other))] = struct{}{}
		}
		return seen, nil
	}
	if _, there := seen[string(text)]; there {
		return nil, s.twice(k, text)
	}
	seen[string(text)] = struct{}{}
	return seen, nil
}

func (s *Scanner) twice(k span, text []byte) error {
	s.pos = k.from - 1
	return s.wrong("the key %.60q is there twice", text)
}

func (s *Scanner) open() error {
	if s.depth++; s.depth > s.most {
		return problem.New("HR2010", "JSON is nested deeper than %d levels", s.most).At(s.place()).Hinting("nest at most %d levels, or raise server.json_depth", s.most)
	}
	s.pos++
	return nil
}

func (s *Scanner) close() error {
	s.depth--
	s.pos++
	return nil
}

func (s *Scanner) word(word string) error {
	if len(s.doc)-s.pos < len(word) || string(s.doc[s.pos:s.pos+len(word)]) != word {
		return s.wrong("expected a value")
	}
	s.pos += len(word)
	return nil
}

func (s *Scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch c := s.peek(); {
	case c == '0':
		s.pos++
	case c >= '1' && c <= '9':
		s.digits()
	default:
		return s.wrong("expected a value")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.wrong("expected a digit after the point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.wrong("expected a digit in the exponent")
		}
	}
	return nil
}

func (s *Scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.doc) && s.doc[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > from
}

// peek is the next byte, 0 at the end.
func (s *Scanner) peek() byte {
	if s.pos < len(s.doc) {
		return s.doc[s.pos]
	}
	return 0
}

func (s *Scanner) wrong(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if s.pos >= len(s.doc) {
		what += ", but the document ends"
	}
	return problem.New("HR2001", "%s", what).At(s.place())
}

// place is the position for people: offset, line and column, the latter counted in characters.
func (s *Scanner) place() string {
	pos := min(s.pos, len(s.doc))
	before := s.doc[:pos]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("byte %d, %d:%d", pos, line, column)
}
