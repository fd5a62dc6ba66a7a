package balance

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Resolver finds the addresses of a host, as *net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookupTimeout is how long one look at the addresses of a host may take.
const lookupTimeout = 5 * time.Second

// lookup asks once. Where the answer is an error or empty, the former addresses stay.
func (u *Upstream) lookup(ctx context.Context, s *source) {
	asked, cancel := context.WithTimeout(ctx, lookupTimeout)
	list, err := u.set.resolver.LookupNetIP(asked, "ip", s.host)
	cancel()
	if ctx.Err() != nil {
		return
	}
	list = usable(list)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.ctx.Err() != nil: // it is out of force
	case err != nil || len(list) == 0:
		if !s.lost {
			u.set.log.Warn("addresses of a host are not found, the former ones stay", "upstream", u.name, "host", s.host, "error", err, "former", len(s.found))
		}
		s.lost = true
		if u.failure = "no addresses of " + s.host + " are found"; err != nil {
			u.failure = err.Error()
		}
		if len(u.targets) == 0 {
			u.refresh()
		}
	case !slices.Equal(list, s.found):
		u.set.log.Info("addresses of a host", "upstream", u.name, "host", s.host, "addresses", list)
		s.found, s.lost, u.failure = list, false, ""
		u.arrange()
	default:
		s.lost, u.failure = false, ""
	}
}

// watch asks again every resolve, and more often as long as there is no address at all.
func (u *Upstream) watch(ctx context.Context, s *source) {
	timer := time.NewTimer(u.pause(s))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			u.lookup(ctx, s)
			timer.Reset(u.pause(s))
		}
	}
}

func (u *Upstream) pause(s *source) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(s.found) == 0 {
		return min(u.cfg.Resolve, time.Second)
	}
	return u.cfg.Resolve
}

// usable leaves out addresses of a family that this machine has no route for, unless there are no others, and sorts the rest.
func usable(list []netip.Addr) []netip.Addr {
	var reached, all []netip.Addr
	for _, a := range list {
		a = a.Unmap()
		all = append(all, a)
		if routed(a) {
			reached = append(reached, a)
		}
	}
	if len(reached) > 0 {
		all = reached
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// routed asks the kernel for a route; nothing is sent.
func routed(a netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 9)))
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}
