package balance

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// counts sends requests nowhere and counts who was chosen.
func counts(t *testing.T, u *Upstream, n int) map[*Target]int {
	list := map[*Target]int{}
	for i := range n {
		list[pick(t, u, &Pick{Hash: mix(uint64(i))})]++
	}
	return list
}

func fail(target *Target, times int) {
	for range times {
		end(target, true, 0)
	}
}

func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t)
		defer s.Stop()
		u := put(t, s, one(func(u *config.Upstream) { u.Eject = config.Eject{Failures: 3, For: 10 * time.Second} }, urls(2)...))
		a, b := u.targets[0], u.targets[1]
		fail(a, 2)
		end(a, false, 200) // the row is broken
		fail(a, 2)
		end(a, false, 0) // a client that went away says nothing
		if state(u, 0) != Healthy {
			t.Error("left out too early")
		}
		end(a, false, 503)
		if state(u, 0) != Ejected || counts(t, u, 10)[a] > 0 {
			t.Errorf("%+v", u.Status().Targets[0])
		}
		if why := u.Status().Targets[0].Why; why != "3 requests in a row failed, the last with status 503" {
			t.Error(why)
		}
		time.Sleep(9 * time.Second)
		if state(u, 0) != Ejected {
			t.Error("back too early")
		}
		time.Sleep(time.Second + time.Millisecond)
		if state(u, 0) != Healthy || counts(t, u, 10)[a] != 5 {
			t.Error("not back")
		}
		// One failure leaves it out again, longer each time, up to ten times as long.
		for _, seconds := range []int{20, 30, 40, 50, 60, 70, 80, 90, 100, 100} {
			fail(a, 1)
			time.Sleep(time.Duration(seconds)*time.Second - time.Millisecond)
			if state(u, 0) != Ejected {
				t.Fatalf("back before %d s", seconds)
			}
			time.Sleep(2 * time.Millisecond)
			if state(u, 0) == Ejected {
				t.Fatalf("not back after %d s", seconds)
			}
		}
		// A target that was well for as long as it was left out begins anew.
		end(a, false, 200)
		time.Sleep(101 * time.Second)
		fail(a, 3)
		time.Sleep(10*time.Second + time.Millisecond)
		if state(u, 0) == Ejected {
			t.Error("not forgotten")
		}
		// All are left out: they are used nevertheless, and the condition tells.
		fail(a, 1)
		if raised(s, "upstream-down") != "" {
			t.Error("condition with a target that is well")
		}
		fail(b, 3)
		if !u.Status().Panic || len(counts(t, u, 10)) != 2 {
			t.Error("no panic")
		}
		if text := raised(s, "upstream-down"); !strings.HasPrefix(text, "api: none of 2 targets of api, of which http://127.0.0.1:9: 3 requests in a row failed") {
			t.Error(text)
		}
		time.Sleep(11 * time.Second)
		if u.Status().Panic || raised(s, "upstream-down") != "" {
			t.Error("still in panic")
		}
	})
}

func TestNoEjection(t *testing.T) {
	s := newSet(t)
	u := put(t, s, one(func(u *config.Upstream) { u.Eject.Failures = 0 }, urls(2)...))
	fail(u.targets[0], 100)
	if state(u, 0) != Healthy {
		t.Error("left out")
	}
}

func TestSlowStart(t *testing.T) {
	for _, balance := range []string{"round_robin", "least_connections", "random_two", "hash"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSet(t)
			defer s.Stop()
			u := put(t, s, one(func(u *config.Upstream) {
				u.Balance = balance
				u.Eject = config.Eject{Failures: 1, For: time.Second, SlowStart: 10 * time.Second}
			}, urls(4)...))
			a := u.targets[0]
			fail(a, 1)
			before := 0
			for _, step := range []struct {
				wait time.Duration
				part float64
			}{{2 * time.Second, 0.1}, {4 * time.Second, 0.5}, {3 * time.Second, 0.8}, {3 * time.Second, 1}} {
				time.Sleep(step.wait)
				got := counts(t, u, 20_000)[a]
				want := int(step.part * 5000)
				if got < before || got < want*8/10-100 || got > want*12/10+100 {
					t.Errorf("%s: %d requests instead of about %d", balance, got, want)
				}
				before = got
			}
			if state(u, 0) != Healthy {
				t.Error(state(u, 0))
			}
		})
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t)
		defer s.Stop()
		u := put(t, s, one(func(u *config.Upstream) {
			u.Eject.Failures = 0
			u.Breaker = config.Breaker{Ratio: 0.5, Requests: 20, Open: 5 * time.Second}
		}, urls(1)...))
		a := u.targets[0]
		for range 9 {
			end(a, false, 200)
		}
		fail(a, 10)
		if u.Status().Breaker != "closed" {
			t.Error("open before there were enough requests")
		}
		fail(a, 1)
		if u.Status().Breaker != "open" {
			t.Error("not open")
		}
		refused(t, u, "HR4021")
		fail(a, 1) // one that was under way
		time.Sleep(5*time.Second + time.Millisecond)
		pick(t, u, &Pick{}) // the one that is tried
		refused(t, u, "HR4021")
		end(a, false, 0) // went away: says nothing
		if u.Status().Breaker != "half_open" {
			t.Error(u.Status().Breaker)
		}
		fail(a, 1)
		if u.Status().Breaker != "open" {
			t.Error("not open again")
		}
		time.Sleep(5*time.Second + time.Millisecond)
		pick(t, u, &Pick{})
		time.Sleep(5*time.Second + time.Millisecond)
		pick(t, u, &Pick{}) // the one before was never sent
		end(a, false, 200)
		if u.Status().Breaker != "closed" || u.record.opened.Load() != 2 {
			t.Error(u.Status().Breaker, u.record.opened.Load())
		}
		fail(a, 5)
		if u.Status().Breaker != "closed" {
			t.Error("the failures before it closed count again")
		}
		// What is older than ten seconds is not counted.
		time.Sleep(12 * time.Second)
		for range 11 {
			end(a, false, 200)
		}
		fail(a, 10)
		if u.Status().Breaker != "closed" {
			t.Error("old failures count")
		}
		fail(a, 1)
		if u.Status().Breaker != "open" {
			t.Error("not open at the ratio")
		}
	})
}

func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t)
		defer s.Stop()
		u := put(t, s, one(func(u *config.Upstream) { u.Retry.Budget = 0.1 }, urls(1)...))
		allowed := func() (n int) {
			for u.MayRetry() {
				n++
			}
			return n
		}
		if n := allowed(); n != 10 {
			t.Errorf("%d repetitions without requests", n)
		}
		for range 100 {
			end(u.targets[0], false, 200)
		}
		if n := allowed(); n != 10 {
			t.Errorf("%d repetitions more with a tenth of 100 requests", n)
		}
		time.Sleep(11 * time.Second)
		if n := allowed(); n != 10 {
			t.Errorf("%d repetitions after the window", n)
		}
		if st := u.Status(); st.Retries != 30 || st.RetriesRefused != 3 {
			t.Errorf("%+v", st)
		}
	})
}
