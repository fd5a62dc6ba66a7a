package balance

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/headrace/headrace/internal/config"
)

// address is a place that connections go to.
type address struct {
	name    string // in metrics and in the API, unique in an upstream
	url     *url.URL
	network string // tcp or unix
	dial    string // host:port, or the path of the socket
	weight  int
}

// source is a target of the configuration: an address, or a host name that stands for several.
type source struct {
	address
	host string // to ask DNS for; empty where there is nothing to ask
	port string

	found []netip.Addr // its addresses; the mutex of the upstream guards them
	lost  bool         // the last look failed
}

// parse reads a target, which the check of the configuration has found valid. localhost is not asked for: what listens on one of its
// addresses need not listen on the other, so that connecting tries both.
func parse(t config.Target) (source, error) {
	text := strings.TrimSuffix(t.URL, "/")
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return source{address: socket(text, path, t.Weight)}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return source{}, err
	}
	port := cmp.Or(u.Port(), map[string]string{"https": "443"}[u.Scheme], "80")
	s := source{address: address{name: text, url: u, network: "tcp", dial: net.JoinHostPort(u.Hostname(), port), weight: t.Weight}, port: port}
	if _, _, err := net.SplitHostPort(s.dial); err != nil {
		return source{}, err
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && u.Hostname() != "localhost" {
		s.host = u.Hostname()
	}
	return s, nil
}

// socket is the address of a Unix socket; as a host it is localhost.
func socket(name, path string, weight int) address {
	return address{name: name, url: &url.URL{Scheme: "http", Host: "localhost"}, network: "unix", dial: path, weight: weight}
}

// at is the address of the source at one of the addresses of its host.
func (s *source) at(ip netip.Addr) address {
	a := s.address
	a.name = s.name + "#" + ip.String()
	a.dial = net.JoinHostPort(ip.String(), s.port)
	return a
}

// parseAll reads the targets of an upstream. One that is written twice counts once, with both weights.
func parseAll(c *config.Upstream) ([]*source, error) {
	var list []*source
	seen := map[string]*source{}
	for _, t := range c.Targets {
		s, err := parse(t)
		if err != nil {
			return nil, err
		}
		if twin := seen[s.name]; twin != nil {
			twin.weight += s.weight
			continue
		}
		seen[s.name] = &s
		list = append(list, &s)
	}
	return list, nil
}
