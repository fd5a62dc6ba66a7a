package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// maxToken is the longest token that is looked at, in bytes; common HTTP servers take no longer header.
const maxToken = 16 << 10

var encoding = base64.RawURLEncoding.Strict()

// parts of a token: header.payload.signature.
type parts struct {
	header    *header
	signing   string // what is signed
	payload   []byte
	signature []byte
}

// header is what the first part of a token says.
type header struct {
	text      string // as it was encoded
	algorithm *algorithm
	kid       string
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// split takes a token apart, and refuses one that is not signed with an algorithm we know.
func (v *Verifier) split(token string) (*parts, error) {
	if len(token) > maxToken {
		return nil, invalid("it is longer than %d bytes", maxToken)
	}
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first < 0 || first == last || strings.IndexByte(token[first+1:last], '.') >= 0 {
		return nil, invalid("it does not have three parts")
	}
	if strings.ContainsAny(token, "\r\n") { // the decoder would skip them
		return nil, invalid("it holds a line break")
	}
	p := &parts{signing: token[:last]}
	var err error
	if p.header = v.header.Load(); p.header == nil || p.header.text != token[:first] {
		if p.header, err = parseHeader(token[:first]); err != nil {
			return nil, err
		}
	}
	if p.payload, err = encoding.DecodeString(token[first+1 : last]); err != nil {
		return nil, invalid("its claims are not base64url")
	}
	if p.signature, err = encoding.DecodeString(token[last+1:]); err != nil || len(p.signature) == 0 {
		return nil, invalid("its signature is not base64url")
	}
	return p, nil
}

func parseHeader(text string) (*header, error) {
	raw, err := encoding.DecodeString(text)
	if err != nil {
		return nil, invalid("its header is not base64url")
	}
	h := &header{text: strings.Clone(text)}
	err = members(raw, func(name string, value []byte) error {
		switch name {
		case "alg":
			var alg string
			if json.Unmarshal(value, &alg) == nil {
				h.algorithm = algorithms[alg]
			}
			if h.algorithm == nil {
				return invalid("its algorithm is none of those that are taken")
			}
		case "kid":
			if json.Unmarshal(value, &h.kid) != nil {
				return invalid("its key identifier is not a text")
			}
		case "crit": // extensions that must be understood; we understand none
			return invalid("it asks for an extension")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if h.algorithm == nil {
		return nil, invalid("its header has no algorithm")
	}
	return h, nil
}
