package limit

import (
	"net/netip"
	"strconv"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// Commands are the limits of commands of live connections.
type Commands struct{ list []counted }

type counted struct {
	*Limiter
	by by
}

// Commands makes the limits of live connections. Those with a name count together with those of routes, and count the same user, key or
// address as one.
func (s *Store) Commands(list []config.Limit) (*Commands, error) {
	if len(list) > most {
		return nil, problem.New("HR9003", "live connections have %d limits, and may have %d", len(list), most).At("live.limits").Hinting("remove some of limits")
	}
	c := &Commands{list: make([]counted, len(list))}
	for i, l := range list {
		scope := l.Name
		if scope == "" {
			scope = "live.limits#" + strconv.Itoa(i)
		}
		c.list[i] = counted{s.Limiter(scope, l), newBy(l.By)}
	}
	return c, nil
}

// Take counts a command of a subject, who may have none, with an API key of this id, "" for none, from an address. It is false if a limit refuses
// it; the others are given back what they counted then. A shared limit may wait for the engine, at most a tenth of a second.
func (c *Commands) Take(subject, key string, client netip.Addr) bool {
	t := tallies.Get().(*tally)
	defer tallies.Put(t)
	var ids [most]id
	for i := range c.list {
		l := &c.list[i]
		var v Verdict
		if v, ids[i] = l.take(l.by.appendCommand(t.key[:0], subject, key, client)); v.OK {
			continue
		}
		for j := range i {
			c.list[j].giveBack(ids[j])
		}
		return false
	}
	return true
}
