// Package channel reads the names of channels: `namespace:rest`, or a name without a namespace. A # in the rest is followed by the
// users who alone may join, as in `chat:dialog#42,43`.
package channel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrName is a name that no channel can have, wrapped with the reason.
var ErrName = errors.New("malformed channel name")

// Name is the name of a channel, taken apart.
type Name struct {
	Full      string
	Namespace string // before the first colon; "" without one
	ID        string // behind it, the users included
	users     string // behind the last #; "" without one
}

// Parse reads a name of at most limit bytes. Empty parts, control characters and malformed UTF-8 are refused. The error is ErrName.
func Parse(name string, limit int) (Name, error) {
	if name == "" {
		return Name{}, fmt.Errorf("%w: it is empty", ErrName)
	}
	if len(name) > limit {
		return Name{}, fmt.Errorf("%w: it is longer than %d bytes", ErrName, limit)
	}
	if err := characters(name); err != nil {
		return Name{}, err
	}
	n := Name{Full: name, ID: name}
	if namespace, id, ok := strings.Cut(name, ":"); ok {
		if namespace == "" || id == "" {
			return Name{}, fmt.Errorf("%w: nothing stands beside its colon", ErrName)
		}
		n.Namespace, n.ID = namespace, id
	}
	if i := strings.LastIndexByte(n.ID, '#'); i >= 0 {
		n.users = n.ID[i+1:]
		// An empty user would be the anonymous one.
		if n.users == "" || n.users[0] == ',' || n.users[len(n.users)-1] == ',' || strings.Contains(n.users, ",,") {
			return Name{}, fmt.Errorf("%w: a user behind its # is empty", ErrName)
		}
	}
	return n, nil
}

func characters(name string) error {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c == 0x7f {
			return fmt.Errorf("%w: it holds a control character", ErrName)
		} else if c >= utf8.RuneSelf {
			return beyondASCII(name)
		}
	}
	return nil
}

func beyondASCII(name string) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: it is not UTF-8", ErrName)
	}
	// Cf has the marks that turn the direction of a text; U+2028 and U+2029 end lines for some readers of logs.
	if strings.ContainsFunc(name, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != zwj && r != zwnj
	}) {
		return fmt.Errorf("%w: it holds a control character", ErrName)
	}
	return nil
}

// Joiners are part of words and emoji.
const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// Limited tells whether only the users behind a # may join.
func (n Name) Limited() bool { return n.users != "" }

// Users are the users behind the #; nil without one.
func (n Name) Users() []string {
	if n.users == "" {
		return nil
	}
	return strings.Split(n.users, ",")
}

// Admits tells whether the name lets a user in: there is no #, or the user is behind it. The anonymous user, "", is never behind it.
func (n Name) Admits(user string) bool {
	return n.users == "" || user != "" && slices.Contains(n.Users(), user)
}
