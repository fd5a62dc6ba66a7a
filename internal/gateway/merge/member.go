package merge

import (
	"errors"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// depth of JSON that parts may have.
const depth = 100

// errFound ends a walk.
var errFound = errors.New("found")

// find is the value at a path in a document that was checked. A number is an element of a list, * a list of what all elements have.
func find(doc []byte, path []string) ([]byte, bool) {
	if len(path) == 0 {
		return doc, true
	}
	s := strictjson.New(doc, depth)
	var value []byte
	take := func() (err error) {
		if value, err = s.Value(); err == nil {
			err = errFound
		}
		return err
	}
	var err error
	switch s.Next() {
	case '{':
		err = s.Object(func(key []byte) error {
			if string(key) == path[0] {
				return take()
			}
			_, err := s.Value()
			return err
		})
	case '[':
		if path[0] == "*" {
			return all(s, path[1:])
		}
		n, bad := strconv.Atoi(path[0])
		if bad != nil || n < 0 {
			return nil, false
		}
		err = s.Array(func() error {
			if n == 0 {
				return take()
			}
			n--
			_, err := s.Value()
			return err
		})
	}
	if err != errFound {
		return nil, false
	}
	return find(value, path[1:])
}

func all(s *strictjson.Scanner, path []string) ([]byte, bool) {
	list := []byte{'['}
	err := s.Array(func() error {
		element, err := s.Value()
		if err != nil {
			return err
		}
		if value, ok := find(element, path); ok {
			if len(list) > 1 {
				list = append(list, ',')
			}
			list = append(list, value...)
		}
		return nil
	})
	return append(list, ']'), err == nil
}

// tree are names of members: those below one, or nothing below it if it is meant as a whole.
type tree map[string]tree

func newTree(list []string) tree {
	if len(list) == 0 {
		return nil
	}
	top := tree{}
	for _, path := range list {
		at := top
		names := strings.Split(path, ".")
		for i, name := range names {
			below, there := at[name]
			if there && below == nil {
				break // the whole is named already
			}
			if i == len(names)-1 {
				at[name] = nil
				break
			}
			if below == nil {
				below = tree{}
				at[name] = below
			}
			at = below
		}
	}
	return top
}

// filter is what is done to the members of a part.
type filter struct {
	pick, drop tree
	rename     map[string]string
	taken      map[string]bool // names that rename gives
}

func newFilter(pick, drop []string, rename map[string]string) *filter {
	if len(pick)+len(drop)+len(rename) == 0 {
		return nil
	}
	f := &filter{pick: newTree(pick), drop: newTree(drop), rename: rename, taken: map[string]bool{}}
	for _, to := range rename {
		f.taken[to] = true
	}
	return f
}

// members calls add with the members of an object that are left.
func (f *filter) members(s *strictjson.Scanner, add func(key, value []byte)) error {
	return s.Object(func(key []byte) error {
		if f == nil {
			value, err := s.Value()
			add(key, value)
			return err
		}
		name, pick, drop, keep := f.name(string(key))
		if !keep {
			_, err := s.Value()
			return err
		}
		if pick == nil && drop == nil {
			value, err := s.Value()
			add([]byte(name), value)
			return err
		}
		value, err := prune(nil, s, pick, drop)
		add([]byte(name), value)
		return err
	})
}

// name is what a member is called, and what is left of it.
func (f *filter) name(key string) (name string, pick, drop tree, keep bool) {
	name, renamed := f.rename[key]
	if !renamed {
		if f.taken[key] {
			return "", nil, nil, false
		}
		name = key
	}
	pick, drop, keep = chosen(f.pick, f.drop, key)
	return name, pick, drop, keep
}

// chosen tells whether a member stays, and what is left of it.
func chosen(pick, drop tree, key string) (inPick, inDrop tree, keep bool) {
	if pick != nil {
		if inPick, keep = pick[key]; !keep {
			return nil, nil, false
		}
	}
	if drop != nil {
		below, there := drop[key]
		if there && below == nil {
			return nil, nil, false
		}
		inDrop = below
	}
	return inPick, inDrop, true
}

// value appends what is left of the next value: of an object its members, of a list those of each element, anything else as it is.
func (f *filter) value(b []byte, s *strictjson.Scanner) ([]byte, error) {
	switch c := s.Next(); {
	case f == nil || c != '{' && c != '[':
		value, err := s.Value()
		return append(b, value...), err
	case c == '[':
		b = append(b, '[')
		n := 0
		err := s.Array(func() (err error) {
			if n++; n > 1 {
				b = append(b, ',')
			}
			b, err = f.value(b, s)
			return err
		})
		return append(b, ']'), err
	}
	b = append(b, '{')
	n := 0
	err := f.members(s, func(key, value []byte) {
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(append(strictjson.AppendText(b, key), ':'), value...)
	})
	return append(b, '}'), err
}

// prune is value without new names.
func prune(b []byte, s *strictjson.Scanner, pick, drop tree) ([]byte, error) {
	return (&filter{pick: pick, drop: drop}).value(b, s)
}
