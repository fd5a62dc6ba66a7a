package merge

import (
	"math"
	"strconv"
	"strings"
)

// fresh is what the answers of parts say of keeping them; together it is the strictest of all.
type fresh struct {
	told                               bool // a part said something
	silent                             bool // a part said nothing of an age
	noStore, noCache, private, revalid bool
	own, shared                        int // ages in seconds
	sharedTold                         bool
}

func newFresh() fresh { return fresh{own: math.MaxInt, shared: math.MaxInt} }

// add takes the headers of one part.
func (f *fresh) add(cacheControl, age string) {
	own, shared := -1, -1
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store":
			f.noStore = true
		case "no-cache":
			f.noCache = true
		case "private":
			f.private = true
		case "must-revalidate":
			f.revalid = true
		case "max-age":
			own = seconds(value)
		case "s-maxage":
			shared = seconds(value)
			f.sharedTold = true
		}
	}
	if cacheControl != "" {
		f.told = true
	}
	passed := max(0, seconds(age))
	switch {
	case own < 0 && shared < 0:
		f.silent = true
		return
	case own < 0:
		f.own = 0 // private caches know of no age
	case shared < 0:
		shared = own
	}
	if own >= 0 {
		f.own = min(f.own, max(0, own-passed))
	}
	f.shared = min(f.shared, max(0, shared-passed))
}

func seconds(text string) int {
	n, err := strconv.Atoi(strings.Trim(text, `" `))
	if err != nil || n < 0 {
		return -1
	}
	return min(n, 1<<31-1)
}

// header is Cache-Control of the whole, "" if no part said anything.
func (f *fresh) header() string {
	if !f.told {
		return ""
	}
	if f.noStore {
		return "no-store"
	}
	var list []string
	if f.private {
		list = append(list, "private")
	}
	if f.noCache || f.silent { // a part that says nothing may change at any time
		list = append(list, "no-cache")
	} else {
		list = append(list, "max-age="+strconv.Itoa(f.own))
		if f.sharedTold && !f.private && f.shared != f.own {
			list = append(list, "s-maxage="+strconv.Itoa(f.shared))
		}
	}
	if f.revalid {
		list = append(list, "must-revalidate")
	}
	return strings.Join(list, ", ")
}
