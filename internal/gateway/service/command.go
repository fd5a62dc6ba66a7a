package service

import (
	"errors"
	"strings"
)

// Split cuts a command into its words as a shell does, but without a shell: blanks separate, 'single quotes' keep everything, "double
// quotes" keep everything but \" and \\, and outside of quotes \ keeps the character after it. Nothing is expanded: $, *, ~, | and > are
// ordinary characters.
func Split(command string) ([]string, error) {
	if strings.IndexByte(command, 0) >= 0 {
		return nil, errors.New("it has a zero byte")
	}
	var words []string
	var word strings.Builder
	inside := false // of a word, which may be empty: ''
	for i := 0; i < len(command); i++ {
		switch c := command[i]; c {
		case ' ', '\t', '\n', '\r':
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		case '\'', '"':
			inside = true
			end := quoted(command[i+1:], c, &word)
			if end < 0 {
				return nil, errors.New("a quote is not closed: " + command[i:])
			}
			i += end
		case '\\':
			if i++; i == len(command) {
				return nil, errors.New("nothing stands after the last \\")
			}
			inside = true
			word.WriteByte(command[i])
		default:
			inside = true
			word.WriteByte(c)
		}
	}
	if inside {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("it names no program")
	}
	return words, nil
}

// quoted copies what stands before the closing quote and returns how many bytes that is with the quote, or -1 if there is none.
func quoted(text string, quote byte, word *strings.Builder) int {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote:
			return i + 1
		case c == '\\' && quote == '"' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			c = text[i]
		}
		word.WriteByte(c)
	}
	return -1
}
