package compress

// encoding is a way to write a body; its value is its place in names.
type encoding uint8

const (
	identity encoding = iota
	zstandard
	brotlis
	gzips
	encodings // how many there are
)

var names = [encodings]string{"identity", "zstd", "br", "gzip"}

// named is the encoding of this name, in any case; ok is false if it is none that is known.
func named(name []byte) (e encoding, ok bool) {
	if equalFold(name, "x-gzip") {
		return gzips, true
	}
	for i, known := range names {
		if equalFold(name, known) {
			return encoding(i), true
		}
	}
	return 0, false
}

// negotiate chooses one of the encodings that are offered, the preferred one first, for a client that sends these Accept-Encoding
// headers. Elements that are malformed are as good as absent. What nobody asked for is identity.
func negotiate(headers [][]byte, offered []encoding) encoding {
	const unset = -1
	quality := [encodings]int{unset, unset, unset, unset}
	rest := unset
	for _, header := range headers {
		for len(header) > 0 {
			var element []byte
			element, header = cut(header, ',')
			name, parameters := cut(element, ';')
			q := 1000
			if parameters = trim(parameters); len(parameters) > 0 {
				if q = weight(parameters); q < 0 {
					continue
				}
			}
			name = trim(name)
			if string(name) == "*" {
				rest = q
			} else if e, ok := named(name); ok {
				quality[e] = q
			}
		}
	}
	best, most := identity, 0
	if quality[identity] > 0 {
		most = quality[identity] - 1 // an encoding that is as welcome is better
	}
	for _, e := range offered {
		q := quality[e]
		if q == unset {
			q = rest
		}
		if q > most {
			best, most = e, q
		}
	}
	return best
}

// weight reads q=0.5 as thousandths, -1 if it is no weight.
func weight(b []byte) int {
	if len(b) < 3 || b[0]|0x20 != 'q' || b[1] != '=' || len(b) > 7 || b[2] != '0' && b[2] != '1' {
		return -1
	}
	q, unit := int(b[2]-'0')*1000, 100
	if len(b) > 3 && b[3] != '.' {
		return -1
	}
	for _, c := range b[min(4, len(b)):] {
		if c < '0' || c > '9' {
			return -1
		}
		q += int(c-'0') * unit
		unit /= 10
	}
	if q > 1000 {
		return -1
	}
	return q
}

func cut(b []byte, at byte) (before, after []byte) {
	for i, c := range b {
		if c == at {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares with a text in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// holds tells whether one of the elements of a list is this token, in lower case.
func holds(list []byte, token string) bool {
	for len(list) > 0 {
		var element []byte
		element, list = cut(list, ',')
		if equalFold(trim(element), token) {
			return true
		}
	}
	return false
}
