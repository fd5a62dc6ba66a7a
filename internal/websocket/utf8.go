package websocket

import "unicode/utf8"

// checkText tells whether b may be the beginning of UTF-8 text, and how much of it needs no second look.
func checkText(b []byte) (checked int, ok bool) {
	checked = len(b)
	for i := len(b) - 1; i >= 0 && i >= len(b)-3; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				checked = i
			}
			break
		}
	}
	return checked, utf8.Valid(b[:checked])
}
