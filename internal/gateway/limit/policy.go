package limit

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// most is how many limits a policy may have.
const most = 16

// routed is a limit of a route.
type routed struct {
	*Limiter
	by      by
	methods []string
	label   []byte // name as a string of a structured field, with its quotes
	refusal *problem.Error
}

// New is the policy of a route. A request passes if it passes all limits; if one refuses it, the others are given back what they counted.
func (s *Store) New(route string, list []config.Limit) (exchange.Policy, error) {
	if len(list) == 0 {
		return exchange.Policy{}, nil
	}
	if len(list) > most {
		return exchange.Policy{}, problem.New("HR9003", "the route %s has %d limits, and may have %d", route, len(list), most).Hinting("remove some of limits")
	}
	p := &policy{route: route, list: make([]routed, len(list))}
	for i, c := range list {
		scope, label := c.Name, c.Name
		if c.Name == "" {
			scope, label = route+"#"+strconv.Itoa(i), c.By
		}
		if len(list) > 1 && slices.ContainsFunc(list[:i], func(o config.Limit) bool { return o.Name == c.Name && o.By == c.By }) {
			label += "-" + strconv.Itoa(i+1)
		}
		p.list[i] = routed{
			Limiter: s.Limiter(scope, c), by: newBy(c.By), methods: c.Methods, label: quoted(label),
			refusal: problem.New("HR4070", "more than %s requests, counted by %s", c.Rate, c.By).At(label),
		}
	}
	p.policies = p.describe(list)
	return exchange.Policy{Admit: p.admit, Finish: p.finish}, nil
}

type policy struct {
	route    string
	list     []routed
	policies []byte // value of RateLimit-Policy
}

// tally is what became of one request, between Admit and Finish.
type tally struct {
	verdicts [most]Verdict
	counted  [most]bool
	refused  int // limit that refused it; -1 if none
	key      [256]byte
}

var tallies = sync.Pool{New: func() any { return new(tally) }}

const slot = "headrace.limit"

func (p *policy) admit(r *exchange.Request) error {
	t := tallies.Get().(*tally)
	t.refused = -1
	r.SetUserValue(slot, t)
	var ids [most]id
	for i := range p.list {
		l := &p.list[i]
		t.counted[i] = len(l.methods) == 0 || slices.Contains(l.methods, string(r.Method()))
		if !t.counted[i] {
			continue
		}
		t.verdicts[i], ids[i] = l.take(l.by.appendKey(t.key[:0], r, p.route))
		if t.verdicts[i].OK {
			continue
		}
		t.refused = i
		for j := range i {
			if t.counted[j] {
				p.list[j].giveBack(ids[j])
				t.verdicts[j].Remaining++
			}
		}
		for j := i + 1; j < len(p.list); j++ {
			t.counted[j] = false
		}
		return l.refusal
	}
	return nil
}

// finish writes the headers. It is called for requests that an earlier policy refused as well, which have no tally.
func (p *policy) finish(r *exchange.Request) {
	t, ok := r.UserValue(slot).(*tally)
	if !ok {
		return
	}
	p.write(r, t)
	r.RemoveUserValue(slot)
	tallies.Put(t)
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
