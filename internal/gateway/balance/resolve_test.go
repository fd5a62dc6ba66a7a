package balance

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// names is a DNS server on loopback.
type names struct {
	conn net.PacketConn

	mu    sync.Mutex
	list  []netip.Addr // of every name
	code  dnsmessage.RCode
	mute  bool
	asked int
}

func newNames(t *testing.T, addresses ...string) *names {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n := &names{conn: conn}
	n.set(addresses...)
	go n.serve()
	return n
}

func (n *names) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = nil
	for _, a := range addresses {
		n.list = append(n.list, netip.MustParseAddr(a))
	}
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", n.conn.LocalAddr().String())
	}}
}

func (n *names) serve() {
	buf := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:size]) != nil {
			continue
		}
		n.mu.Lock()
		n.asked++
		m.Header.Response, m.Header.RCode, m.Additionals = true, n.code, nil
		for _, a := range n.list {
			head := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1}
			switch {
			case n.code != 0:
			case a.Is4() && m.Questions[0].Type == dnsmessage.TypeA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
			case a.Is6() && m.Questions[0].Type == dnsmessage.TypeAAAA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
		mute := n.mute
		n.mu.Unlock()
		if out, err := m.Pack(); err == nil && !mute {
			_, _ = n.conn.WriteTo(out, from)
		}
	}
}

func addresses(u *Upstream) (list []string) {
	for _, target := range u.Status().Targets {
		list = append(list, target.Address)
	}
	return list
}

func TestResolve(t *testing.T) {
	t.Parallel()
	n := newNames(t, "127.0.0.2", "127.0.0.1")
	s := newSet(t, func(d *Deps) { d.Resolver = n.resolver() })
	u := put(t, s, one(func(u *config.Upstream) { u.Resolve = 100 * time.Millisecond }, "http://api.test:99"))
	becomes := func(want ...string) {
		t.Helper()
		until(t, strings.Join(want, " "), func() bool { return slices.Equal(addresses(u), want) })
	}
	if got := addresses(u); !slices.Equal(got, []string{"127.0.0.1:99", "127.0.0.2:99"}) {
		t.Fatal("at once: ", got)
	}
	if target := pick(t, u, &Pick{}); target.URL().Host != "api.test:99" || target.Name() != "http://api.test:99#127.0.0.1" {
		t.Error(target.URL(), target.Name())
	}
	kept := u.targets[1]
	kept.Begin()
	n.set("127.0.0.2", "127.0.0.3")
	becomes("127.0.0.2:99", "127.0.0.3:99")
	if u.targets[0] != kept {
		t.Error("a target that stays is another one")
	}
	kept.End(false, 200, 0)
	ask := func() int { n.mu.Lock(); defer n.mu.Unlock(); return n.asked }
	for _, failure := range []func(){
		func() { n.code = dnsmessage.RCodeNameError },
		func() { n.code = dnsmessage.RCodeServerFailure },
		func() { n.code, n.list = 0, nil },
	} {
		n.mu.Lock()
		failure()
		before := n.asked
		n.mu.Unlock()
		until(t, "more questions", func() bool { return ask() > before+4 })
		becomes("127.0.0.2:99", "127.0.0.3:99")
	}
	n.set("127.0.0.9")
	becomes("127.0.0.9:99")
	// Another configuration keeps the addresses although nobody answers.
	n.mu.Lock()
	n.mute = true
	n.mu.Unlock()
	u = put(t, s, one(func(u *config.Upstream) { u.Resolve = 200 * time.Millisecond }, "http://api.test:99"))
	becomes("127.0.0.9:99")
}

func TestResolveLater(t *testing.T) {
	n := newNames(t)
	n.mu.Lock()
	n.code = dnsmessage.RCodeNameError
	n.mu.Unlock()
	s := newSet(t, func(d *Deps) { d.Resolver = n.resolver() })
	u := put(t, s, one(func(u *config.Upstream) { u.Resolve = 100 * time.Millisecond }, "http://api.test"))
	refused(t, u, "HR4020")
	if _, err := u.Pick(&Pick{}); problem.From(err).What != "no target of upstream api is well" { // without the host and the server of names
		t.Error(err)
	}
	if !strings.Contains(u.Status().Why, "api.test") || !strings.Contains(raised(s, "upstream-down"), "api.test") {
		t.Error(u.Status().Why, raised(s, "upstream-down"))
	}
	n.mu.Lock()
	n.code = 0
	n.mu.Unlock()
	n.set("127.0.0.1", "::ffff:127.0.0.1")
	until(t, "an address", func() bool { return slices.Equal(addresses(u), []string{"127.0.0.1:80"}) })
	if raised(s, "upstream-down") != "" {
		t.Error("the condition stays")
	}
}

// A family that there is no route for is left out, unless there is no other.
func TestUsable(t *testing.T) {
	v4, nowhere := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::1")
	if routed(nowhere) {
		t.Skip("this machine has a route for IPv6")
	}
	if got := usable([]netip.Addr{nowhere, v4}); !slices.Equal(got, []netip.Addr{v4}) {
		t.Error(got)
	}
	if got := usable([]netip.Addr{nowhere}); !slices.Equal(got, []netip.Addr{nowhere}) {
		t.Error(got)
	}
}

func FuzzTarget(f *testing.F) {
	for _, text := range []string{"http://10.0.0.1:9000", "https://api.example.com/", "unix:/run/s", "http://[::1]:80", "http://localhost", "//]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(config.Target{URL: text, Weight: 1})
		if err == nil && s.url == nil {
			t.Error("no url")
		}
		if err == nil && s.network == "tcp" {
			if _, _, err := net.SplitHostPort(s.dial); err != nil {
				t.Error(errors.Unwrap(err), s.dial)
			}
		}
	})
}
