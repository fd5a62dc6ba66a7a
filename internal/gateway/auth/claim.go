package auth

import (
	"encoding/json"
	"slices"
	"strings"
)

// claims are the members of an identity's claims.
type claims map[string]json.RawMessage

func read(object []byte) claims {
	var c claims
	_ = json.Unmarshal(object, &c) // no object has no claims
	return c
}

// find is a claim by its name, or by the way to it, joined by dots; nil if there is none.
func (c claims) find(name string) json.RawMessage {
	if value, ok := c[name]; ok {
		return value
	}
	for at := strings.IndexByte(name, '.'); at >= 0; {
		if below := c[name[:at]]; below != nil {
			return read(below).find(name[at+1:])
		}
		next := strings.IndexByte(name[at+1:], '.')
		if next < 0 {
			return nil
		}
		at += 1 + next
	}
	return nil
}

// text is a claim as text: a string as it is, a list of strings joined by spaces, null as nothing, anything else as JSON.
func (c claims) text(name string) string {
	value := c.find(name)
	var text string
	var list []string
	switch {
	case value == nil || json.Unmarshal(value, &text) == nil:
		return text
	case json.Unmarshal(value, &list) == nil:
		return strings.Join(list, " ")
	}
	return string(value)
}

// has tells whether a claim is a value, or a list that holds it. * is any value but null.
func (c claims) has(name, want string) bool {
	value := c.find(name)
	if value == nil || string(value) == "null" {
		return false
	}
	if want == "*" {
		return true
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		list = []json.RawMessage{value}
	}
	return slices.ContainsFunc(list, func(one json.RawMessage) bool {
		var text string
		if json.Unmarshal(one, &text) != nil {
			text = string(one)
		}
		return text == want
	})
}

// scopes are those of the claims scope and scp, each a text with spaces or a list.
func (c claims) scopes() []string {
	var all []string
	for _, name := range []string{"scope", "scp"} {
		var text string
		var list []string
		if value := c[name]; json.Unmarshal(value, &text) == nil {
			list = strings.Fields(text)
		} else if json.Unmarshal(value, &list) != nil {
			continue
		}
		all = append(all, list...)
	}
	return all
}

// missing are the scopes of want that are not held.
func missing(want, held []string) []string {
	var list []string
	for _, scope := range want {
		if !slices.Contains(held, scope) {
			list = append(list, scope)
		}
	}
	return list
}
