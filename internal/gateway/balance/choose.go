package balance

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Pick says what a target is chosen for.
type Pick struct {
	Hash  uint64    // of what hash_by names, for balance hash; any good hash
	Tried []*Target // were asked already; they are only chosen again if there is no other
}

// view is what the targets of an upstream are chosen from, at one time. It is not changed.
type view struct {
	targets []*Target // that take requests, with a weight
	cycle   []*Target // the targets in turn, each as often as its weight has it, evenly spread
	even    bool      // all weights are the same
	panic   bool      // all are left out after failures, and taken nevertheless
	why     string    // there are none
}

// maxCycle bounds the work of spreading: the length of a cycle times its targets.
const maxCycle = 1 << 20

// newView spreads targets by their weights as nginx does: each step adds to each target its weight, takes the one with the most, and
// subtracts the sum of all weights from that.
func newView(targets []*Target) *view {
	v := &view{targets: targets, even: true}
	if len(targets) == 0 {
		return v
	}
	divisor, sum := 0, 0
	for _, t := range targets {
		divisor = gcd(divisor, t.weight)
		sum += t.weight
		v.even = v.even && t.weight == targets[0].weight
	}
	if v.even {
		v.cycle = targets
		return v
	}
	weights := make([]int, len(targets))
	scale := min(1/float64(divisor), maxCycle/float64(len(targets))/float64(sum))
	sum = 0
	for i, t := range targets {
		weights[i] = max(1, int(math.Round(float64(t.weight)*scale)))
		sum += weights[i]
	}
	current := make([]int, len(targets))
	for range sum {
		best := 0
		for i := range current {
			current[i] += weights[i]
			if current[i] > current[best] {
				best = i
			}
		}
		current[best] -= sum
		v.cycle = append(v.cycle, targets[best])
	}
	return v
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// inTurn is round robin from a place of the cycle on.
func (v *view) inTurn(turn uint64, p *Pick) *Target {
	n := uint64(len(v.cycle))
	i := turn % n
	t := v.cycle[i]
	if !tried(p.Tried, t) && t.passes() {
		return t
	}
	var spare *Target // comes back slowly, and is better than one that was tried
	for range n {
		if t = v.cycle[i]; !tried(p.Tried, t) {
			if t.slow.Load() == 0 {
				return t
			}
			spare = t
		}
		if i++; i == n {
			i = 0
		}
	}
	if spare != nil {
		return spare
	}
	return v.cycle[turn%n]
}

// cost is what one request more would make of the load of a target, by its weight.
func (t *Target) cost() float64 { return float64(t.Busy()+1) / float64(t.weight) }

// least is the target with the fewest requests by weight. Among equals it takes turns.
func (v *view) least(turn uint64, p *Pick) *Target {
	var best, spare *Target // spare comes back slowly
	lowest := math.Inf(1)
	n := len(v.targets)
	i := int(turn % uint64(n))
	for range n {
		if t := v.targets[i]; !tried(p.Tried, t) {
			if c := t.cost(); !t.passes() {
				spare = t
			} else if c < lowest {
				best, lowest = t, c
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	switch {
	case best != nil:
		return best
	case spare != nil:
		return spare
	}
	return v.targets[turn%uint64(n)]
}

// better is that of two at random that has fewer requests.
func (v *view) better(p *Pick) *Target {
	n := uint64(len(v.cycle))
	if n == 1 {
		return v.cycle[0]
	}
	r := rand.Uint64()
	hi, lo := bits.Mul64(r, n)
	second, _ := bits.Mul64(lo, n-1) // what is left of the random number, and never the same place
	if second >= hi {
		second++
	}
	a, b := v.cycle[hi], v.cycle[second]
	if tried(p.Tried, a) || tried(p.Tried, b) {
		return v.inTurn(r>>32, p)
	}
	if b.passes() && (b.Busy() < a.Busy() || !a.passes()) {
		return b
	}
	return a
}

// hashed is rendezvous hashing: each target makes a number of the key, the highest wins. When a target goes only its keys move, and they
// spread over all others; when one comes it takes its part from all. It looks at every target.
func (v *view) hashed(p *Pick) *Target {
	var best, any *Target
	var highest float64
	var top, anyTop uint64
	for _, t := range v.targets {
		h := mix(p.Hash ^ t.seed)
		if any == nil || h > anyTop {
			any, anyTop = t, h
		}
		if tried(p.Tried, t) || t.slow.Load() != 0 && unit(mix(h)) > t.share() { // each key comes back once
			continue
		}
		if v.even {
			if best == nil || h > top {
				best, top = t, h
			}
		} else if score := -float64(t.weight) / math.Log(unit(h)); best == nil || score > highest {
			best, highest = t, score
		}
	}
	if best == nil {
		return any
	}
	return best
}

// unit is a number above 0 and below 1.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }

// mix is the end of MurmurHash3: each bit of the key changes half of the bits.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
