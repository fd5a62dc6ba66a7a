package balance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
)

// urls are addresses nobody connects to.
func urls(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("http://127.0.0.%d:9", i+1))
	}
	return list
}

func weigh(c *config.Upstream, weights ...int) {
	for i, w := range weights {
		c.Targets[i].Weight = w
	}
}

func order(t *testing.T, u *Upstream, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(strings.TrimSuffix(strings.TrimPrefix(pick(t, u, &Pick{}).Name(), "http://127.0.0."), ":9"))
	}
	return b.String()
}

func TestRoundRobin(t *testing.T) {
	s := newSet(t)
	for _, c := range []struct {
		weights []int
		want    string
	}{
		{[]int{1, 1, 1}, "123123123"},
		{[]int{7, 7}, "1212"},
		{[]int{5, 1, 1}, "11213111121311"},
		{[]int{10, 20}, "212212"},
		{[]int{1, 0, 1}, "1313"},
		{[]int{3}, "111"},
	} {
		u := put(t, s, one(func(u *config.Upstream) { weigh(u, c.weights...) }, urls(len(c.weights))...))
		if got := order(t, u, len(c.want)); got != c.want {
			t.Errorf("%v: %s instead of %s", c.weights, got, c.want)
		}
	}
}

func TestManyWeightsStayInProportion(t *testing.T) {
	s := newSet(t)
	u := put(t, s, one(func(u *config.Upstream) {
		for i := range u.Targets {
			u.Targets[i].Weight = 9000 + i*7%1000
		}
	}, urls(200)...))
	v := u.view.Load()
	if len(v.cycle)*len(v.targets) > 2*maxCycle {
		t.Errorf("%d turns of %d targets", len(v.cycle), len(v.targets))
	}
	for _, target := range v.targets {
		part := float64(len(slices.DeleteFunc(slices.Clone(v.cycle), func(x *Target) bool { return x != target }))) / float64(len(v.cycle))
		if part < 1.0/200*0.9 || part > 1.0/200*1.1 {
			t.Fatalf("%s has %f of the requests", target.Name(), part)
		}
	}
}

func TestTriedTargetsAreAvoided(t *testing.T) {
	s := newSet(t)
	for _, balance := range []string{"round_robin", "least_connections", "random_two", "hash"} {
		for _, weights := range [][]int{{1, 1, 1}, {1, 2, 3}} {
			u := put(t, s, one(func(u *config.Upstream) { u.Balance = balance; weigh(u, weights...) }, urls(3)...))
			for hash := range uint64(50) {
				p := &Pick{Hash: mix(hash)}
				for range 3 {
					target := pick(t, u, p)
					if slices.Contains(p.Tried, target) {
						t.Fatalf("%s %v: %s again", balance, weights, target.Name())
					}
					p.Tried = append(p.Tried, target)
				}
				pick(t, u, p) // all were tried, so any
			}
		}
	}
}

func TestLeastConnections(t *testing.T) {
	s := newSet(t)
	u := put(t, s, one(func(u *config.Upstream) { u.Balance = "least_connections"; weigh(u, 1, 3) }, urls(2)...))
	var busy [2]int
	for range 40 {
		target := pick(t, u, &Pick{})
		target.Begin()
		busy[slices.Index(u.view.Load().targets, target)]++
	}
	if busy != [2]int{10, 30} {
		t.Errorf("%v requests under way", busy)
	}
	u.targets[1].End(false, 200, 0)
	if target := pick(t, u, &Pick{}); target != u.targets[1] {
		t.Errorf("%s has more requests", target.Name())
	}
}

func TestRandomTwo(t *testing.T) {
	s := newSet(t)
	u := put(t, s, one(func(u *config.Upstream) { u.Balance = "random_two"; weigh(u, 1, 1, 2) }, urls(3)...))
	var got [3]int
	for range 40_000 {
		got[slices.Index(u.targets, pick(t, u, &Pick{}))]++
	}
	for i, want := range []int{10_000, 10_000, 20_000} {
		if math.Abs(float64(got[i]-want)) > 600 {
			t.Errorf("%v", got)
		}
	}
	for range 5 {
		u.targets[0].Begin()
	}
	u = put(t, s, one(func(u *config.Upstream) { u.Balance = "random_two" }, urls(2)...))
	u.targets[0].Begin()
	for range 100 {
		if pick(t, u, &Pick{}) == u.targets[0] {
			t.Fatal("the one with more requests")
		}
	}
}

// TestHash moves no key but those of a target that goes, and to one that comes only its part.
func TestHash(t *testing.T) {
	const keys = 20_000
	for _, weights := range [][]int{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 2, 3, 1, 2, 3, 1, 2, 3, 2}} {
		s := newSet(t)
		sum := 0
		for _, w := range weights {
			sum += w
		}
		where := func(n int) (list []string) {
			u := put(t, s, one(func(u *config.Upstream) { u.Balance, u.HashBy = "hash", "address"; weigh(u, weights[:n]...) }, urls(n)...))
			for key := range uint64(keys) {
				list = append(list, pick(t, u, &Pick{Hash: mix(key)}).Name())
			}
			return list
		}
		ten, nine := where(10), where(9)
		last := urls(10)[9]
		of := map[string]int{}
		for i := range ten {
			of[ten[i]]++
			if ten[i] != nine[i] && ten[i] != last {
				t.Fatalf("%v: key %d moved from %s to %s", weights, i, ten[i], nine[i])
			}
		}
		for i, url := range urls(10) {
			if want := keys * weights[i] / sum; math.Abs(float64(of[url]-want)) > 0.15*float64(want) {
				t.Errorf("%v: %s has %d keys, not about %d", weights, url, of[url], want)
			}
		}
		if !slices.Equal(ten, where(10)) {
			t.Error("another upstream of the same targets places keys elsewhere")
		}
	}
}

func benchmark(b *testing.B, balance string, targets int, change func(*config.Upstream)) {
	s := newSet(b)
	u := put(b, s, one(func(u *config.Upstream) {
		u.Balance = balance
		if change != nil {
			change(u)
		}
	}, urls(targets)...))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		p := Pick{}
		for pb.Next() {
			p.Hash++
			target, err := u.Pick(&p)
			if err != nil {
				b.Fatal(err)
			}
			target.Begin()
			target.End(false, 200, 800_000)
		}
	})
}

func BenchmarkPickBeginEnd(b *testing.B) {
	for _, balance := range []string{"round_robin", "least_connections", "random_two", "hash"} {
		for _, n := range []int{1, 3, 20} {
			b.Run(fmt.Sprintf("%s/%d", balance, n), func(b *testing.B) { benchmark(b, balance, n, nil) })
		}
	}
	b.Run("round_robin/3/breaker", func(b *testing.B) {
		benchmark(b, "round_robin", 3, func(u *config.Upstream) { u.Breaker.Ratio = 0.5 })
	})
}
