package cache

import (
	"bytes"
	"math"
	"time"
)

// directives are what Cache-Control says.
type directives struct {
	noStore, noCache, private, public, mustRevalidate, onlyIfCached bool
	maxAge, sMaxAge, minFresh, maxStale, whileRevalidate, ifError   time.Duration // absent if it is not said
}

const (
	absent  = time.Duration(-1)
	forever = time.Duration(math.MaxInt32) * time.Second // larger values mean this
)

func newDirectives() directives {
	return directives{maxAge: absent, sMaxAge: absent, minFresh: absent, maxStale: absent, whileRevalidate: absent, ifError: absent}
}

// parse adds what one line of Cache-Control says. Of a time that is said twice the shorter counts, one that cannot be read is 0: in doubt an
// answer is stale.
func (d *directives) parse(text []byte) {
	for len(text) > 0 {
		name, value, rest := next(text)
		text = rest
		switch {
		case is(name, "no-store"):
			d.noStore = true
		case is(name, "no-cache"): // with names of headers as well, which is more than they ask for
			d.noCache = true
		case is(name, "private"):
			d.private = true
		case is(name, "public"):
			d.public = true
		case is(name, "must-revalidate"), is(name, "proxy-revalidate"):
			d.mustRevalidate = true
		case is(name, "only-if-cached"):
			d.onlyIfCached = true
		case is(name, "max-age"):
			shorter(&d.maxAge, value)
		case is(name, "s-maxage"):
			shorter(&d.sMaxAge, value)
		case is(name, "min-fresh"):
			shorter(&d.minFresh, value)
		case is(name, "max-stale"):
			if value == nil {
				value = []byte("9999999999")
			}
			shorter(&d.maxStale, value)
		case is(name, "stale-while-revalidate"):
			shorter(&d.whileRevalidate, value)
		case is(name, "stale-if-error"):
			shorter(&d.ifError, value)
		}
	}
}

// next takes one name, with the value it may have, from a list with commas. Quotes around the value are removed.
func next(text []byte) (name, value, rest []byte) {
	i := 0
	for i < len(text) && text[i] != ',' && text[i] != '=' {
		i++
	}
	name = bytes.TrimSpace(text[:i])
	if i == len(text) || text[i] == ',' {
		return name, nil, text[min(i+1, len(text)):]
	}
	text = bytes.TrimLeft(text[i+1:], " \t")
	if len(text) > 0 && text[0] == '"' {
		i = 1
		for i < len(text) && text[i] != '"' {
			if text[i] == '\\' {
				i++
			}
			i++
		}
		i = min(i, len(text))
		value, text = text[1:max(1, i):max(1, i)], text[min(i+1, len(text)):]
		if _, after, ok := bytes.Cut(text, []byte(",")); ok {
			return name, value, after
		}
		return name, value, nil
	}
	value, rest, _ = bytes.Cut(text, []byte(","))
	return name, bytes.TrimSpace(value), rest
}

// is compares with a name in lower case.
func is(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

func shorter(d *time.Duration, text []byte) {
	n := seconds(text)
	if *d == absent || n < *d {
		*d = n
	}
}

// seconds reads whole seconds.
func seconds(text []byte) time.Duration {
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0
		}
		if n = n*10 + int64(c-'0'); n >= math.MaxInt32 {
			n = math.MaxInt32
		}
	}
	return time.Duration(n) * time.Second
}
