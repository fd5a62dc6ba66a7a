// Package htpasswd reads files of user names and bcrypt hashes, as htpasswd -B writes them.
package htpasswd

import (
	"bytes"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// MaxCost is the highest cost of a hash that is taken: with it one password takes about 4 s.
const MaxCost = 16

// Parse reads the lines of a file: NAME:HASH. Empty lines and those that begin with # are passed over. It refuses names that appear twice,
// and hashes that are not bcrypt or cost more than MaxCost. The error tells the line, and nothing of the hash.
func Parse(text []byte) (map[string][]byte, error) {
	users := map[string][]byte{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		name, hash, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 {
			return nil, fmt.Errorf("line %d is not a name, a colon and a hash", number)
		}
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			return nil, fmt.Errorf("line %d: the hash of %.60q is not bcrypt", number, name)
		}
		if cost > MaxCost {
			return nil, fmt.Errorf("line %d: the hash of %.60q has the cost %d, more than %d", number, name, cost, MaxCost)
		}
		if users[string(name)] != nil {
			return nil, fmt.Errorf("line %d: %.60q is there twice", number, name)
		}
		users[string(name)] = bytes.Clone(hash)
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("there is no line with a name, a colon and a hash")
	}
	return users, nil
}
