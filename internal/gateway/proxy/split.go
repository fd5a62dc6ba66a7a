package proxy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/problem"
)

// split shares requests among upstreams.
type split struct {
	shares []*share
	total  int
	sticky bool // some share keeps its clients
}

// share is one of the upstreams.
type share struct {
	way    *way
	weight int
	header []condition
	cookie []condition
	sticky string // name of the cookie
	mark   string // its value: the upstream, in a form that does not tell its name
}

// condition is what a header or a cookie must be.
type condition struct {
	name    string
	exact   string
	any     bool
	pattern *regexp.Regexp
}

func newSplit(shares []config.Share, find func(string) *balance.Upstream) (*split, error) {
	s := &split{}
	for _, c := range shares {
		to, err := newWay(c.Upstream, find)
		if err != nil {
			return nil, err
		}
		one, err := newShare(&c)
		if err != nil {
			return nil, err
		}
		one.way = to
		s.total += c.Weight
		s.sticky = s.sticky || c.Sticky != ""
		s.shares = append(s.shares, one)
	}
	if s.total == 0 {
		return nil, problem.New("HR9003", "all weights of the split are 0").Hinting("give one of the upstreams a weight")
	}
	return s, nil
}

// newShare is a share that leads nowhere yet.
func newShare(c *config.Share) (s *share, err error) {
	s = &share{weight: c.Weight, sticky: c.Sticky, mark: strconv.FormatUint(xxhash.Sum64String(c.Upstream), 36)}
	if s.header, err = newPins(c.Header); err != nil {
		return nil, err
	}
	s.cookie, err = newPins(c.Cookie)
	return s, err
}

func newPins(values map[string]string) (list []condition, err error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		c := condition{name: name, exact: values[name], any: values[name] == "*"}
		if text, ok := strings.CutPrefix(values[name], "~"); ok {
			if c.pattern, err = regexp.Compile(text); err != nil {
				return nil, problem.New("HR9003", "%w", err).Hinting("write a regular expression of RE2 after ~")
			}
		}
		list = append(list, c)
	}
	return list, nil
}

// choose takes the first share that the headers or cookies of the request name, then that of a client who is kept, then one by weight.
func (s *split) choose(r *exchange.Request) *share {
	for _, one := range s.shares {
		if fits(r, one.header, header) || fits(r, one.cookie, cookie) {
			return one
		}
	}
	if s.sticky {
		for _, one := range s.shares {
			if one.kept(r) {
				return one
			}
		}
	}
	n := rand.IntN(s.total)
	for _, one := range s.shares {
		if n -= one.weight; n < 0 {
			return one
		}
	}
	return s.shares[0]
}

// Chances are the upstreams that a split may choose for a request, and why: one if the choice is certain.
func Chances(shares []config.Share, r *exchange.Request) ([]exchange.Chance, error) {
	list, total := make([]*share, len(shares)), 0
	for i := range shares {
		var err error
		if list[i], err = newShare(&shares[i]); err != nil {
			return nil, err
		}
		total += shares[i].Weight
	}
	certain := func(i int, format string, args ...any) ([]exchange.Chance, error) {
		return []exchange.Chance{{Upstream: shares[i].Upstream, Part: 1, Why: fmt.Sprintf(format, args...)}}, nil
	}
	for i, one := range list {
		switch {
		case fits(r, one.header, header):
			return certain(i, "header %s", strings.Join(slices.Sorted(maps.Keys(shares[i].Header)), ", "))
		case fits(r, one.cookie, cookie):
			return certain(i, "cookie %s", strings.Join(slices.Sorted(maps.Keys(shares[i].Cookie)), ", "))
		}
	}
	for i, one := range list {
		if one.kept(r) {
			return certain(i, "sticky cookie %s", one.sticky)
		}
	}
	var chances []exchange.Chance
	for i := range shares {
		if weight := shares[i].Weight; weight > 0 {
			chances = append(chances, exchange.Chance{Upstream: shares[i].Upstream, Part: float64(weight) / float64(total), Why: fmt.Sprintf("weight %d of %d", weight, total)})
		}
	}
	return chances, nil
}

func header(r *exchange.Request, name string) []byte { return r.Request.Header.Peek(name) }

// fits tells whether there are conditions and all hold.
func fits(r *exchange.Request, list []condition, get func(*exchange.Request, string) []byte) bool {
	for i := range list {
		c := &list[i]
		value := get(r, c.name)
		switch {
		case value == nil, c.pattern != nil && !c.pattern.Match(value), c.pattern == nil && !c.any && string(value) != c.exact:
			return false
		}
	}
	return len(list) > 0
}

// kept tells whether the client came to the share before. One that has no weight any more keeps nobody.
func (s *share) kept(r *exchange.Request) bool {
	return s.sticky != "" && s.weight > 0 && string(cookie(r, s.sticky)) == s.mark
}

// stick lets the client come back to the share.
func (s *share) stick(r *exchange.Request) {
	if s.weight == 0 || s.kept(r) {
		return
	}
	c := fasthttp.AcquireCookie()
	c.SetKey(s.sticky)
	c.SetValue(s.mark)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	c.SetSecure(r.Secure())
	r.Response.Header.SetCookie(c)
	fasthttp.ReleaseCookie(c)
}

// cookie is the value of a cookie of the request as it was sent; the header is not changed by looking, which fasthttp's own way does.
func cookie(r *exchange.Request, name string) []byte {
	for _, line := range r.Request.Header.PeekAll("Cookie") {
		for len(line) > 0 {
			for len(line) > 0 && (line[0] == ' ' || line[0] == ';') {
				line = line[1:]
			}
			end := 0
			for end < len(line) && line[end] != ';' {
				end++
			}
			if len(name) < end && line[len(name)] == '=' && string(line[:len(name)]) == name {
				return line[len(name)+1 : end]
			}
			line = line[end:]
		}
	}
	return nil
}
