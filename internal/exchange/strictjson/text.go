package strictjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// plain are the bytes that stand for themselves inside a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// string reads a string; the position is at its opening quote.
func (s *Scanner) string() (span, error) {
	k := span{from: s.pos + 1}
	doc, i := s.doc, s.pos+1
	for {
		for i < len(doc) && plain[doc[i]] {
			i++
		}
		if s.pos = i; i == len(doc) {
			return k, s.wrong("expected the end of a string")
		}
		switch c := doc[i]; {
		case c == '"':
			k.to = i
			s.pos = i + 1
			return k, nil
		case c == '\\':
			k.escaped = true
			n := s.escape(doc[i:])
			if n == 0 {
				return k, s.wrong("bad escape in a string")
			}
			i += n
		case c < 0x20:
			return k, s.wrong("control character in a string")
		default:
			r, n := utf8.DecodeRune(doc[i:])
			if r == utf8.RuneError && n <= 1 {
				return k, s.wrong("bytes that are not UTF-8")
			}
			i += n
		}
	}
}

// escape is the length of the escape at the start of b, 0 if it is none. Half a surrogate pair stands for no character, and what
// holds one cannot be written as UTF-8 again, so it is none either.
func (s *Scanner) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(b[2:])
		switch {
		case !ok:
			return 0
		case !utf16.IsSurrogate(r):
			return 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0
		}
		if low, ok := hex4(b[8:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			return 12
		}
	}
	return 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// text is what a string that was read says.
func (s *Scanner) text(k span) []byte {
	raw := s.doc[k.from:k.to:k.to]
	if !k.escaped {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i+2:])
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[i+4:])
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

const hexDigits = "0123456789abcdef"

// AppendText writes text as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendText[T string | []byte](b []byte, text T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if plain[c] {
			i++
			continue
		}
		if c >= 0x80 {
			r, n := utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)]))
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, text[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c >= 0x80 {
				b = append(b, "\uFFFD"...)
			} else {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		from = i
	}
	return append(append(b, text[from:]...), '"')
}
