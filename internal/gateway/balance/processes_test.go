package balance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/service"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

var replacements = flag.Int("replacements", 3, "of both processes of a service under load")

const clients = 8

// newServices is a set whose upstreams may have processes.
func newServices(t *testing.T) (*Set, *service.Supervisor) {
	log := slog.New(slog.DiscardHandler)
	health := observe.NewHealth(log)
	services, err := service.New(service.Options{Log: log, Health: health, Dir: "../service/testdata"})
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet(Deps{Log: log, Health: health, Services: services})
	t.Cleanup(func() {
		s.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		services.Stop(ctx)
	})
	return s, services
}

// node is a service of two processes. What differs is in its environment.
func node(color string) *config.Upstream {
	return one(func(u *config.Upstream) {
		u.Run, u.Replicas, u.Grace, u.Env = "node serve.js --socket {socket}", 2, 5*time.Second, map[string]string{"COLOR": color}
	})
}

func wellTargets(u *Upstream, n int) bool { return len(u.view.Load().targets) == n }

// crowd sends requests all the time, each client one after the other, each twentieth one a slow one. As the proxy does, a request that could
// not connect is sent to another target.
type crowd struct {
	stop     chan struct{}
	done     sync.WaitGroup
	sent     atomic.Int64
	repeated atomic.Int64
	failed   atomic.Int64
	mu       sync.Mutex
	errors   []string
	latest   time.Time      // that a request which failed was sent
	seen     map[string]int // requests by answer
}

func newCrowd(s *Set) *crowd {
	c := &crowd{stop: make(chan struct{}), seen: map[string]int{}}
	for i := range clients {
		c.done.Go(func() {
			for n := i; ; n++ {
				select {
				case <-c.stop:
					return
				default:
				}
				path := "/"
				if n%20 == 0 {
					path = "/wait"
				}
				c.request(s.Find("api"), path)
			}
		})
	}
	return c
}

func (c *crowd) request(u *Upstream, path string) {
	c.sent.Add(1)
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	p := Pick{}
	begun := time.Now()
	for {
		target, err := u.Pick(&p)
		if err == nil {
			call := upstream.Call{Head: []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"), Method: []byte("GET")}
			target.Begin()
			begun = time.Now()
			err = target.Client().Do(&call, resp)
			target.End(err != nil, resp.StatusCode(), time.Since(begun))
			p.Tried = append(p.Tried, target)
		}
		var failure *upstream.Error
		if errors.As(err, &failure) && failure.Stage == upstream.Connect && len(p.Tried) < 2 {
			c.repeated.Add(1)
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil || resp.StatusCode() != 200 {
			c.failed.Add(1)
			if begun.After(c.latest) {
				c.latest = begun
			}
			c.errors = append(c.errors, fmt.Sprint(err, " ", resp.StatusCode()))
			return
		}
		c.seen[string(resp.Body())]++
		return
	}
}

// wait lets some more requests pass.
func (c *crowd) wait(t *testing.T, n int64) {
	t.Helper()
	from := c.sent.Load()
	until(t, "requests", func() bool { return c.sent.Load() > from+n })
}

func (c *crowd) end() {
	close(c.stop)
	c.done.Wait()
}

func TestReplacementsUnderLoad(t *testing.T) {
	s, services := newServices(t)
	u := put(t, s, node("black"))
	until(t, "both processes", func() bool { return wellTargets(u, 2) })
	crowd := newCrowd(s)
	for i := range *replacements {
		crowd.wait(t, 500)
		if i%2 == 0 {
			if err := services.Replace(t.Context(), "api"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		color := fmt.Sprintf("color%d", i)
		put(t, s, node(color)) // by a change of the configuration
		until(t, "new processes", func() bool {
			crowd.mu.Lock()
			defer crowd.mu.Unlock()
			n := 0
			for answer := range crowd.seen {
				if strings.HasPrefix(answer, color+" ") {
					n++
				}
			}
			return n == 2
		})
	}
	crowd.wait(t, 100)
	crowd.end()
	if crowd.failed.Load() > 0 || len(crowd.seen) != 2**replacements+2 {
		t.Errorf("%d of %d requests failed: %q; %d processes answered", crowd.failed.Load(), crowd.sent.Load(), crowd.errors, len(crowd.seen))
	}
	t.Logf("%d replacements of 2 processes: %d requests, %d failed, %d sent again", *replacements, crowd.sent.Load(), crowd.failed.Load(), crowd.repeated.Load())
}

func TestKillUnderLoad(t *testing.T) {
	s, _ := newServices(t)
	u := put(t, s, node("black"))
	until(t, "both processes", func() bool { return wellTargets(u, 2) })
	crowd := newCrowd(s)
	for range 3 {
		crowd.wait(t, 200)
		until(t, "both processes", func() bool { return wellTargets(u, 2) })
		victim := u.view.Load().targets[0]
		before := crowd.failed.Load()
		until(t, "requests under way", func() bool { return victim.Busy() > 0 })
		if err := syscall.Kill(u.Status().Processes[0].Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "the end", func() bool { return !slices.Contains(u.view.Load().targets, victim) })
		noticed := time.Now()
		until(t, "another process", func() bool { v := u.view.Load(); return len(v.targets) == 2 && v.targets[0] != victim })
		crowd.wait(t, 200)
		lost := crowd.failed.Load() - before
		t.Logf("%d requests lost of at most %d that it can have held", lost, clients)
		crowd.mu.Lock()
		if late := crowd.latest.Sub(noticed); lost > clients || late > 0 {
			t.Errorf("%d requests lost, the last was sent %s after the end was noticed: %q", lost, late, crowd.errors)
		}
		crowd.mu.Unlock()
	}
	crowd.end()
}

// TestServiceGoes has the processes of an upstream end with it, and not while another configuration of it has them.
func TestServiceGoes(t *testing.T) {
	s, services := newServices(t)
	change, err := s.Prepare(t.Context(), conf(map[string]*config.Upstream{"api": node("a")}))
	if err != nil {
		t.Fatal(err)
	}
	u := change.Find("api")
	refused(t, u, "HR4020")
	change.Commit()
	if raised(s, "upstream-down") != "" {
		t.Error("a service that starts is not down")
	}
	until(t, "both processes", func() bool { return wellTargets(u, 2) })
	pids := func(u *Upstream) (list [2]int) {
		for i, p := range u.Status().Processes {
			list[i] = p.Pid
		}
		return list
	}
	before := pids(u)
	u = put(t, s, one(func(c *config.Upstream) { *c = *node("a"); c.Timeout.Header = time.Second }))
	for range 2 * quietTicks {
		s.ticked()
	}
	if !wellTargets(u, 2) || pids(u) != before {
		t.Error("other processes although they are run in the same way")
	}
	if _, err := s.Prepare(t.Context(), conf(map[string]*config.Upstream{"api": one(func(c *config.Upstream) { c.Run = "no-such-program" })})); problem.From(err).Code != "HR4023" {
		t.Error(err)
	}
	put(t, s, one(nil, urls(1)...))
	if pick(t, u, &Pick{}) == nil {
		t.Error("who holds the former upstream is not served")
	}
	for range quietTicks + 1 {
		s.ticked()
	}
	for _, pid := range before {
		until(t, "its end", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
	if problem.From(services.Replace(t.Context(), "api")).Code != "HR4024" || len(s.processes) > 0 {
		t.Error("the service is there")
	}
	if _, err := newSet(t).Prepare(t.Context(), conf(map[string]*config.Upstream{"api": node("a")})); problem.From(err).Code != "HR4023" {
		t.Error(err)
	}
}

// TestProcessOfHTTP2 is a service that speaks only HTTP/2, checked while it starts and afterwards.
func TestProcessOfHTTP2(t *testing.T) {
	t.Parallel()
	s, _ := newServices(t)
	program := `require("http2").createServer((q, a) => a.end("two")).listen(process.env.HEADRACE_SOCKET)`
	u := put(t, s, one(func(c *config.Upstream) {
		checked(c)
		c.Protocol, c.Run, c.Env = "h2", "node -e '"+program+"'", map[string]string{"AT": "{socket}"}
	}))
	until(t, "the process", func() bool { return wellTargets(u, 1) })
	target := pick(t, u, &Pick{})
	if network, _ := target.Address(); network != "unix" || target.Name() != "api/1" || target.TLS() != nil || target.Upstream() != u {
		t.Error(target.Name(), network)
	}
	if status, err := target.askStandard(t.Context()); status != 200 || err != nil {
		t.Error(status, err)
	}
	if err := syscall.Kill(u.Status().Processes[0].Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "it is unhealthy", func() bool { return state(u, 0) == Unhealthy })
	until(t, "the condition", func() bool { return raised(s, "upstream-down") != "" })
	if err := syscall.Kill(u.Status().Processes[0].Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "it is well", func() bool { return state(u, 0) == Healthy })
}
