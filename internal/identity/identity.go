package identity

import (
	"encoding/json"
	"strings"
)

// Identity is who asks, and how that is known. It may be shared and must not be changed.
type Identity struct {
	Method  string   // jwt, key, basic, oidc, mtls, forward or function
	Subject string   // the user, or the owner of a key; "" if it has no name
	Key     string   // id of the API key; "" without one
	Scopes  []string // what it may do
	Claims  []byte   // JSON object; nil without one
}

// Claim is a claim as text: a string as it is, anything else as JSON. Names of nested claims are joined by dots. It is "" if there is
// none; sub is the subject of any identity.
func (i *Identity) Claim(name string) string {
	if i == nil {
		return ""
	}
	if name == "sub" {
		return i.Subject
	}
	at := json.RawMessage(i.Claims)
	for part := range strings.SplitSeq(name, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil {
			return ""
		}
		at = object[part]
	}
	var text string
	if json.Unmarshal(at, &text) == nil {
		return text
	}
	return string(at)
}
