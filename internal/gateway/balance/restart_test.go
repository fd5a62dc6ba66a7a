package balance

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/upstream"
)

// hangs takes connections and answers until it is asked for /hang.
const hangs = `let ok = true; require("http").createServer((q, a) => { if (q.url == "/hang") ok = false; if (ok || q.url == "/hang") a.end("well") }).listen(process.env.HEADRACE_SOCKET)`

func hanging(after time.Duration) *config.Upstream {
	return one(func(c *config.Upstream) {
		checked(c)
		c.Run, c.Env, c.Replicas, c.RestartAfter = "node -e '"+hangs+"'", map[string]string{"AT": "{socket}"}, 3, after
		c.Health.Interval, c.Health.Timeout = 20*time.Millisecond, 500*time.Millisecond
	})
}

// hang has a process not answer any more.
func hang(t *testing.T, target *Target) {
	t.Helper()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	call := upstream.Call{Head: []byte("GET /hang HTTP/1.1\r\nHost: localhost\r\n"), Method: []byte("GET"), Deadline: time.Now().Add(patience)}
	if err := target.Client().Do(&call, resp); err != nil {
		t.Fatal(err)
	}
}

// TestHangingProcess has all processes hang: they are replaced, one after the other.
func TestHangingProcess(t *testing.T) {
	t.Parallel()
	s, _ := newServices(t)
	u := put(t, s, hanging(100*time.Millisecond))
	until(t, "the processes", func() bool { return wellTargets(u, 3) })
	before := u.Status().Processes
	for _, target := range u.view.Load().targets {
		hang(t, target)
	}
	until(t, "other processes", func() bool {
		status, starting, others := u.Status(), 0, 0
		for i, p := range status.Processes {
			if p.State == "starting" {
				starting++
			} else if p.Pid != before[i].Pid {
				others++
			}
		}
		if starting > 1 {
			t.Fatalf("%d are restarted at a time", starting)
		}
		return others == 3 && wellTargets(u, 3)
	})
	if n := restarts(t, s, "unhealthy"); n != 3 {
		t.Errorf("%v restarts", n)
	}
	if n := restarts(t, s, "ended"); n != 0 {
		t.Errorf("%v of them without reason", n)
	}
}

// TestHangingProcessStays has a process hang that is not to be restarted, until the configuration says so.
func TestHangingProcessStays(t *testing.T) {
	t.Parallel()
	s, _ := newServices(t)
	u := put(t, s, hanging(0))
	until(t, "the processes", func() bool { return wellTargets(u, 3) })
	pid := u.Status().Processes[0].Pid
	hang(t, u.view.Load().targets[0])
	until(t, "it is unhealthy", func() bool { return wellTargets(u, 2) })
	since := u.Status().Targets[0].Since
	until(t, "many checks", func() bool { return time.Since(since) > 300*time.Millisecond })
	if p := u.Status().Processes[0]; p.Pid != pid || p.Restarts != 0 {
		t.Errorf("%+v", p)
	}
	u = put(t, s, hanging(time.Millisecond))
	until(t, "another process", func() bool {
		p := u.Status().Processes[0]
		return p.Unhealthy == 1 && p.Pid != pid && wellTargets(u, 3)
	})
}

// restarts is the sum of the metric over the targets.
func restarts(t *testing.T, s *Set, reason string) (n float64) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "headrace_gateway_upstream_restarts_total" && l.GetName() == "reason" && l.GetValue() == reason {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
