package template

import "slices"

// stays tells which bytes stay as they are, as a bit for each class.
var stays = func() (table [256]byte) {
	set := func(class Class, text string) {
		for i := range len(text) {
			table[text[i]] |= 1 << class
		}
	}
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	set(Path, plain+"!$&'()*+,;=:@/")
	set(Segment, plain+"!$&'()*+,;=:@")
	set(Query, plain)
	set(Host, plain[:len(plain)-1])
	for c := ' '; c < 256; c++ {
		if c != 0x7f {
			table[c] |= 1 << Value
		}
	}
	table['\t'] |= 1 << Value
	return table
}()

const hex = "0123456789ABCDEF"

// escape writes what b holds from an offset on as its class demands. A segment that stands for another one, . and .., is not valid.
func escape(b []byte, from int, class Class) ([]byte, bool) {
	bad := 0
	for _, c := range b[from:] {
		if stays[c]&(1<<class) == 0 {
			bad++
		}
	}
	if class == Segment || class == Path {
		if dots(b[from:]) {
			return b, false
		}
	}
	switch {
	case bad == 0:
		return b, true
	case class == Host:
		return b, false
	case class == Value:
		for i := from; i < len(b); i++ {
			if stays[b[i]]&(1<<class) == 0 {
				b[i] = ' '
			}
		}
		return b, true
	}
	n := len(b)
	b = slices.Grow(b, 2*bad)[:n+2*bad]
	for i, to := n-1, len(b); i >= from; i-- {
		if c := b[i]; stays[c]&(1<<class) != 0 {
			to--
			b[to] = c
		} else {
			to -= 3
			b[to], b[to+1], b[to+2] = '%', hex[c>>4], hex[c&15]
		}
	}
	return b, true
}

// dots tells whether a text has a segment . or .. .
func dots(text []byte) bool {
	start := 0
	for i := 0; i <= len(text); i++ {
		if i == len(text) || text[i] == '/' {
			if s := text[start:i]; string(s) == "." || string(s) == ".." {
				return true
			}
			start = i + 1
		}
	}
	return false
}

// AppendQuery adds a text as a name or value of a query.
func AppendQuery(b []byte, text string) []byte {
	from := len(b)
	b, _ = escape(append(b, text...), from, Query)
	return b
}
