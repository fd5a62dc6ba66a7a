package auth

import (
	"bytes"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// one is a header of the request that may be there once: what headrace reads must be what the upstream reads.
func one(r *exchange.Request, name string) ([]byte, error) {
	values := r.Request.Header.PeekAll(name)
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		return values[0], nil
	}
	return nil, problem.New("HR4041", "the header %s is there %d times", name, len(values)).Hinting("send it once")
}

// scheme is what follows the name of a scheme in Authorization; nil if it is of another one.
func scheme(value []byte, name string) []byte {
	if len(value) <= len(name) || value[len(name)] != ' ' || !bytes.EqualFold(value[:len(name)], []byte(name)) {
		return nil
	}
	return bytes.Trim(value[len(name):], " ")
}

// place is where a token or a key may stand.
type place struct {
	header string // "" none
	scheme string // before the value; needed in Authorization, allowed in others
	cookie string
	query  string
}

// find is the first value that is there; nil if there is none.
func (p *place) find(r *exchange.Request) ([]byte, error) {
	if p.header != "" {
		value, err := one(r, p.header)
		if err != nil {
			return nil, err
		}
		if value = p.bare(value); len(value) > 0 {
			return value, nil
		}
	}
	if p.cookie != "" {
		if value := r.Request.Header.Cookie(p.cookie); len(value) > 0 {
			return value, nil
		}
	}
	if p.query != "" {
		if value := r.QueryArgs().Peek(p.query); len(value) > 0 {
			return value, nil
		}
	}
	return nil, nil
}

// bare is a value without its scheme.
func (p *place) bare(value []byte) []byte {
	if len(value) == 0 {
		return nil
	}
	if with := scheme(value, p.scheme); with != nil {
		return with
	}
	if p.header == "Authorization" {
		return nil
	}
	return bytes.Trim(value, " ")
}
