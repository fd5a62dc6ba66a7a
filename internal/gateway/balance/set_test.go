package balance

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/headrace/headrace/internal/config"
)

func TestChange(t *testing.T) {
	s := newSet(t)
	a, b := newBackend(t, "a"), newBackend(t, "b")
	same := func() *config.Upstream { return one(nil, a.URL) }
	other := func() *config.Upstream {
		return one(func(u *config.Upstream) { u.Timeout.Header = time.Second }, a.URL, b.URL)
	}
	prepare := func(list map[string]*config.Upstream) *Change {
		t.Helper()
		change, err := s.Prepare(context.Background(), conf(list))
		if err != nil {
			t.Fatal(err)
		}
		return change
	}
	first := prepare(map[string]*config.Upstream{"same": same(), "other": one(nil, a.URL), "gone": same()})
	named := first.Find(b.URL)
	if named == nil || named != first.Find(b.URL) || first.Find("nobody") != nil || s.Find("same") != nil {
		t.Error("before Commit")
	}
	first.Commit()
	before := map[string]*Upstream{}
	for _, u := range s.all() {
		before[u.Name()] = u
	}
	if len(before) != 4 || before[b.URL] != named {
		t.Errorf("%v", before)
	}
	fail(before["other"].targets[0], 5)
	held := before["gone"].targets[0]
	held.Begin()
	if _, _, err := send(before["gone"]); err != nil {
		t.Fatal(err)
	}

	next := map[string]*config.Upstream{"same": same(), "other": other(), "new": same()}
	prepare(next).Discard()
	if s.Find("other") != before["other"] || s.Find("new") != nil || s.Find("gone") == nil {
		t.Error("Discard has changed something")
	}
	change := prepare(next)
	if change.Find(b.URL) != named {
		t.Error("an address that is asked for again is another upstream")
	}
	change.Commit()
	if s.Find("same") != before["same"] || s.Find("new") == nil || s.Find("gone") != nil || s.Find(b.URL) != named {
		t.Error("after Commit")
	}
	u := s.Find("other")
	if u == before["other"] || u.targets[0] == before["other"].targets[0] || u.targets[0].client == before["other"].targets[0].client {
		t.Error("nothing has changed")
	}
	if st := u.Status(); st.Targets[0].State != Ejected || st.Targets[1].State != Healthy || st.Targets[0].Failures != 5 {
		t.Errorf("%+v", st)
	}
	// What is out of force serves those who hold it, and is closed after the last of them.
	for range 2 * quietTicks {
		s.ticked()
	}
	if body, _, err := send(before["other"]); body == "" || err != nil {
		t.Error(body, err)
	}
	if body, _, err := send(before["gone"]); body != "a" || err != nil {
		t.Error(body, err)
	}
	if len(s.retired) != 1 || s.retired[0] != before["gone"] || held.client.Stats().Idle == 0 {
		t.Errorf("%d upstreams wait for their requests", len(s.retired))
	}
	held.End(false, 200, time.Millisecond)
	for range quietTicks + 1 {
		s.ticked()
	}
	if len(s.retired) != 0 || held.client.Stats().Idle != 0 || s.records["gone"] != nil {
		t.Error("not closed")
	}
	if n := before["gone"].record.totals(); n.all() != 3 {
		t.Errorf("%d requests are counted", n.all())
	}
	prepare(map[string]*config.Upstream{}).Commit()
	if len(s.all()) != 0 {
		t.Error("an address that nobody asks for stays")
	}
}

func TestEjectionOutlivesAChange(t *testing.T) {
	s := newSet(t)
	u := put(t, s, one(func(u *config.Upstream) { u.Eject.For = 50 * time.Millisecond }, urls(2)...))
	fail(u.targets[0], 5)
	u = put(t, s, one(func(u *config.Upstream) { u.Eject.For = time.Hour }, urls(2)...))
	if state(u, 0) != Ejected {
		t.Error("forgotten")
	}
	until(t, "it is back", func() bool { return state(u, 0) == Starting })
	fail(u.targets[0], 1)
	u = put(t, s, one(func(u *config.Upstream) { u.Eject.Failures = 0 }, urls(2)...))
	if state(u, 0) == Ejected {
		t.Error("left out although nobody is any more")
	}
}

func TestFilesOfTLSAreAChange(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	ca, _, _ := authority(t, server)
	s := newSet(t)
	c := one(func(u *config.Upstream) { u.TLS.CA = ca }, server.URL)
	u := put(t, s, c)
	if put(t, s, c) != u {
		t.Error("another upstream although nothing changed")
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, append(text, text...), 0o600); err != nil {
		t.Fatal(err)
	}
	if put(t, s, c) == u {
		t.Error("the same upstream although the file is another one")
	}
}

// TestMetrics also has the series stay in order as targets change.
func TestMetrics(t *testing.T) {
	s := newSet(t)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	values := func() map[string]float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		list := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := strings.TrimPrefix(f.GetName(), "headrace_gateway_upstream_")
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				switch f.GetType() {
				case dto.MetricType_COUNTER:
					list[name] = m.GetCounter().GetValue()
				case dto.MetricType_GAUGE:
					list[name] = m.GetGauge().GetValue()
				default:
					list[name] = float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
		return list
	}
	x, y := urls(2)[0], urls(2)[1]
	u := put(t, s, one(nil, x, y))
	end(u.targets[0], false, 204)
	end(u.targets[0], false, 404)
	fail(u.targets[1], 5)
	u.targets[0].Begin()
	u.MayRetry()
	for name, want := range map[string]float64{
		"requests_total 2xx " + x + " api": 1, "requests_total 4xx " + x + " api": 1, "requests_total none " + y + " api": 5,
		"failures_total " + y + " api": 5, "failures_total " + x + " api": 0, "busy " + x + " api": 1, "target_up " + x + " api": 1,
		"target_up " + y + " api": 0, "seconds api": 7, "retries_total api": 1, "breaker_state api": 0, "connections_open " + x + " api": 0,
	} {
		if got, ok := values()[name]; got != want || !ok {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	u = put(t, s, one(nil, x))
	end(u.targets[0], false, 200)
	for range quietTicks + 1 {
		s.ticked()
	}
	list := values()
	if list["seconds api"] != 8 || list["requests_total 2xx "+x+" api"] != 2 {
		t.Errorf("%v", list)
	}
	if _, ok := list["requests_total none "+y+" api"]; ok {
		t.Error("a target that is gone is counted")
	}
}
