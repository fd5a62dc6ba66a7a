package cache

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/exchange"
)

// appendVary appends the names of headers in a line of Vary, in the form of fasthttp, sorted and once each. any is true for *.
func appendVary(names []string, text []byte) (list []string, any bool) {
	for len(text) > 0 {
		var name []byte
		name, text, _ = bytes.Cut(text, []byte(","))
		name = bytes.TrimSpace(name)
		switch {
		case len(name) == 0:
		case string(name) == "*":
			any = true
		default:
			one := canonical(string(name))
			if i, found := slices.BinarySearch(names, one); !found {
				names = slices.Insert(names, i, one)
			}
		}
	}
	return names, any
}

// canonical is a name of a header with capitals after each -.
func canonical(name string) string {
	b := []byte(strings.ToLower(name))
	for i := range b {
		if (i == 0 || b[i-1] == '-') && b[i] >= 'a' && b[i] <= 'z' {
			b[i] &^= 0x20
		}
	}
	return string(b)
}

// appendField appends the value of a header of the request to a key. Several lines are one list, blanks around commas do not matter, and
// capitals not where the header says so.
func appendField(b []byte, r *exchange.Request, name string) []byte {
	values := r.Request.Header.PeekAll(name)
	if len(values) == 0 {
		return append(b, 0)
	}
	b = append(b, 1)
	mark := len(b)
	lower := name == "Accept-Encoding" || name == "Accept-Language" || name == "Accept"
	for _, value := range values {
		for len(value) > 0 {
			var part []byte
			part, value, _ = bytes.Cut(value, []byte(","))
			if part = bytes.TrimSpace(part); len(part) == 0 {
				continue
			}
			if len(b) > mark {
				b = append(b, ',')
			}
			at := len(b)
			b = append(b, part...)
			for i := at; lower && i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
		}
	}
	return binary.BigEndian.AppendUint32(b, uint32(len(b)-mark))
}

var codings = [...]string{"br", "gzip", "zstd"}

// plainEncodings replaces Accept-Encoding by those of the usual codings that it allows, in one order, so that few variants are kept. The
// upstream sees the same.
func plainEncodings(r *exchange.Request, buffer []byte) []byte {
	values := r.Request.Header.PeekAll("Accept-Encoding")
	if len(values) == 0 {
		return buffer
	}
	var has [len(codings)]bool
	for _, value := range values {
		for len(value) > 0 {
			var part []byte
			part, value, _ = bytes.Cut(value, []byte(","))
			name, weight, _ := bytes.Cut(part, []byte(";"))
			name = bytes.TrimSpace(name)
			for i, coding := range codings {
				if is(name, coding) || coding == "gzip" && is(name, "x-gzip") {
					has[i] = !zero(weight)
				}
			}
		}
	}
	buffer = buffer[:0]
	for i, coding := range codings {
		if has[i] {
			if len(buffer) > 0 {
				buffer = append(buffer, ", "...)
			}
			buffer = append(buffer, coding...)
		}
	}
	if len(buffer) == 0 {
		buffer = append(buffer, "identity"...)
	}
	if len(values) > 1 {
		r.Request.Header.Del("Accept-Encoding")
	}
	if len(values) > 1 || !bytes.Equal(values[0], buffer) {
		r.Request.Header.SetBytesV("Accept-Encoding", buffer)
		if r.Standard != nil {
			r.Standard.Request.Header.Set("Accept-Encoding", string(buffer))
		}
	}
	return buffer
}

// zero tells whether a weight is q=0.
func zero(weight []byte) bool {
	weight = bytes.TrimSpace(weight)
	if len(weight) < 3 || weight[0]|0x20 != 'q' || weight[1] != '=' {
		return false
	}
	return len(bytes.Trim(weight[2:], "0.")) == 0
}
