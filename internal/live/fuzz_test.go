package live

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/live/wire"
	"github.com/headrace/headrace/internal/observe"
)

// FuzzCommands gives a session whatever a client may send; it must neither panic nor leave anything behind.
func FuzzCommands(f *testing.F) {
	for _, seed := range []string{`{"id":1,"connect":{}}`, `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a","delta":"fossil"}}`,
		`{"id":2,"publish":{"channel":"a","data":{}}}`, `{}`, `{"id":3,"history":{"channel":"a","since":{"offset":1},"reverse":true}}`,
		`{"id":4,"sub_refresh":{"channel":"a"}}`, `{"id":5,"presence":{"channel":"a#1,2"}}`, "\x02\x08\x01"} {
		f.Add(uint8(0), []byte(seed))
		f.Add(uint8(wire.Protobuf), []byte(seed))
		f.Add(uint8(wire.Uni), []byte(seed))
	}
	r := newRig(f, func(c *config.Live) { delete(c.Namespaces, "chat"); delete(c.Namespaces, "cache") }, nil)
	f.Fuzz(func(t *testing.T, format uint8, message []byte) {
		s := &Session{live: r.Live, format: wire.Format(format) & (wire.Protobuf | wire.Uni)}
		r.registry.add(s, netip.Addr{}, 0, 0)
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		s.mu.Lock()
		conn, err := r.park.Park(here, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		s.conn = conn
		s.mu.Unlock()
		turn := &turn{s: s}
		s.handle(turn, message)
		turn.flush()
		s.end(DisconnectForce)
		s.leaveAll()
		eventually(t, "nothing is left", func() bool { return r.Info().Connections == 0 && r.Info().Subscriptions == 0 })
	})
}

func TestParseClientID(t *testing.T) {
	var id clientID
	binary.BigEndian.PutUint64(id[3:], 0x123456789abcdef0)
	if got, ok := parseClientID(id.String()); !ok || got != id {
		t.Error(got, ok)
	}
	for _, bad := range []string{"", "x", strings.Repeat("x", 36)} {
		if _, ok := parseClientID(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.peer("/websocket")
	p.enter("")
	p.ask(`{"subscribe":{"channel":"plain"}}`)
	p.ask(`{"subscribe":{"channel":"nothing:a"}}`)
	p.ask(`{"publish":{"channel":"plain","data":1}}`)
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Live)
	if err := observe.CheckNames(registry); err != nil {
		t.Error(err)
	}
	eventually(t, "the delivery is counted", func() bool { return r.metrics.deliveries.Load() == 1 })
	families, err := registry.Gather()
	if err != nil || len(families) < 13 {
		t.Error(len(families), err)
	}
}
