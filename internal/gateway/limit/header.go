package limit

import (
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// The headers are those of draft-ietf-httpapi-ratelimit-headers-10: RateLimit-Policy has the quota q of each limit and its window w in seconds,
// RateLimit what remains, r, and the seconds until all of it is there again, t. Retry-After is when a refused request may come again.

// The names as fasthttp writes them, so that those of an upstream are replaced.
var policyHeader, limitHeader, retryHeader = []byte("Ratelimit-Policy"), []byte("Ratelimit"), []byte("Retry-After")

// describe is RateLimit-Policy, which is the same for every request.
func (p *policy) describe(list []config.Limit) []byte {
	var b []byte
	for i, c := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, p.list[i].label...)
		b = strconv.AppendInt(append(b, ";q="...), int64(c.Rate.N), 10)
		if c.Rate.Per%time.Second == 0 {
			b = strconv.AppendInt(append(b, ";w="...), int64(c.Rate.Per/time.Second), 10)
		}
	}
	return b
}

func (p *policy) write(r *exchange.Request, t *tally) {
	h := &r.Response.Header
	h.SetCanonical(policyHeader, p.policies)
	b := t.key[:0]
	for i := range p.list {
		if !t.counted[i] {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, p.list[i].label...)
		b = strconv.AppendInt(append(b, ";r="...), int64(t.verdicts[i].Remaining), 10)
		b = strconv.AppendInt(append(b, ";t="...), seconds(t.verdicts[i].Reset), 10)
	}
	if len(b) > 0 {
		h.SetCanonical(limitHeader, b)
	}
	if t.refused >= 0 {
		h.SetCanonical(retryHeader, strconv.AppendInt(t.key[:0], max(1, seconds(t.verdicts[t.refused].Retry)), 10))
	}
}

// quoted is a string of a structured field.
func quoted(text string) []byte {
	b := []byte{'"'}
	for _, c := range []byte(text) {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return append(b, '"')
}
