package proxy

import "bytes"

func equal(name []byte, other string) bool {
	if len(name) != len(other) {
		return false
	}
	for i := range len(other) {
		a, b := name[i], other[i]
		if a != b && (a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z') {
			return false
		}
	}
	return true
}

// names tells whether a list, as those of Connection and TE, has an element.
func names(list []byte, element string) bool {
	for len(list) > 0 {
		var one []byte
		one, list, _ = bytes.Cut(list, []byte(","))
		if equal(bytes.TrimSpace(one), element) {
			return true
		}
	}
	return false
}

func appendList(list, value []byte) []byte {
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	return append(list, value...)
}

// values are those of a header in header lines.
func values(lines, name []byte) (list [][]byte) {
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\n"))
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(key, name) {
			list = append(list, bytes.TrimSpace(value))
		}
	}
	return list
}

func hasRaw(lines []byte, name string) bool { return len(values(lines, []byte(name))) > 0 }

// tunnels tells whether a protocol may be switched to. HTTP/2 and TLS may not: what follows would go past all routes and policies.
func tunnels(protocol []byte) bool {
	for _, c := range protocol {
		if c == ',' || c <= ' ' {
			return false
		}
	}
	lower := bytes.ToLower(protocol)
	return !bytes.HasPrefix(lower, []byte("h2")) && !bytes.HasPrefix(lower, []byte("http")) && !bytes.HasPrefix(lower, []byte("tls"))
}
