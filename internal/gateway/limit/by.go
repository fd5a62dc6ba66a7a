package limit

import (
	"net/netip"
	"strings"

	"github.com/headrace/headrace/internal/exchange"
)

// by is whose requests are counted together.
type by []part

type part struct {
	kind string // address, subject, key, claim, header or route; all is none
	name string // of the claim or header
}

func newBy(text string) by {
	var list by
	for one := range strings.SplitSeq(text, "+") {
		kind, name, _ := strings.Cut(one, ":")
		if kind != "all" {
			list = append(list, part{kind, name})
		}
	}
	return list
}

// appendKey appends what the request is counted by. What a request does not have is its address instead, marked so that nobody can take the
// place of another by a name.
func (list by) appendKey(b []byte, r *exchange.Request, route string) []byte {
	for i, p := range list {
		if i > 0 {
			b = append(b, 0)
		}
		before := len(b)
		switch p.kind {
		case "address":
			b = AppendAddress(b, r.Client())
		case "route":
			b = append(b, route...)
		case "header":
			b = append(b, r.Request.Header.Peek(p.name)...)
		case "subject":
			if r.Identity != nil {
				b = append(b, r.Identity.Subject...)
			}
		case "key":
			if r.Identity != nil {
				b = append(b, r.Identity.Key...)
			}
		case "claim":
			b = append(b, r.Identity.Claim(p.name)...)
		}
		if len(b) == before {
			b = AppendAddress(append(b, 1), r.Client())
		}
	}
	return b
}

// appendCommand is appendKey for a command of a live connection, which has these three alone. The keys are the same.
func (list by) appendCommand(b []byte, subject, key string, client netip.Addr) []byte {
	for i, p := range list {
		if i > 0 {
			b = append(b, 0)
		}
		before := len(b)
		switch p.kind {
		case "subject":
			b = append(b, subject...)
		case "key":
			b = append(b, key...)
		case "address":
			b = AppendAddress(b, client)
		}
		if len(b) == before {
			b = AppendAddress(append(b, 1), client)
		}
	}
	return b
}

// AppendAddress appends the key of an address, which is that of its /64 for IPv6.
func AppendAddress(b []byte, a netip.Addr) []byte {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.AppendTo(b)
		}
	}
	return a.AppendTo(b)
}
