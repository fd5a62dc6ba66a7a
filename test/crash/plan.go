package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/fault"
)

// step is one thing that goes wrong.
type step struct {
	name  string        // of a key of actions
	point string        // of package fault, if the step happens at one
	count int           // the step happens when the point is passed for this time
	after time.Duration // load before it
	hold  time.Duration // how long something stays stopped
	cut   float64       // power cut: share of the last record that reached the disk
	dice  int           // what else varies
}

func (s step) String() string {
	text := s.name
	if s.point != "" {
		text += fmt.Sprintf(" at %s:%d", s.point, s.count)
	}
	return fmt.Sprintf("%s after %dms hold %dms cut %.2f dice %d", text, s.after.Milliseconds(), s.hold.Milliseconds(), s.cut, s.dice)
}

// fault is the value of HEADRACE_FAULT that headrace must have been started with, or empty.
func (s step) fault() string {
	if s.point == "" {
		return ""
	}
	action := "kill"
	if s.name == "stop-point" {
		action = "stop"
	}
	return fmt.Sprintf("%s:%d=%s", s.point, s.count, action)
}

// plan is everything that is random about a run; the same seed makes the same plan.
type plan struct {
	seed  uint64
	quick bool
	steps []step
}

// others are the steps that do not end headrace at a point. The first ones come first, so that a run of ten kills has them.
var others = []string{
	"worker-kill", "zygote-kill", "power-cut", "worker-oom", "disk-full", "kill", "worker-stop", "stop-point", "worker-kill", "power-cut",
	"kill-start", "stop", "drain", "disk-guard", "worker-pause",
}

const firstOthers = 5

// frequent are the largest counts at which a point is awaited, about two seconds of load; others happen rarely.
var frequent = map[string]int{
	"enqueue.checked": 60, "journal.publishing": 150, "journal.published": 150, "journal.committed": 150, "enqueue.answering": 60,
	"dispatch.chosen": 100, "dispatch.offered": 100, "run.done": 120, "job.ended": 120, "index.written": 15, "trim.purging": 1,
}

// slow are steps of ten seconds and more.
var slow = map[string]bool{"disk-full": true, "disk-guard": true}

func newPlan(kills int, seed uint64, quick bool, only string) *plan {
	p := &plan{seed: seed, quick: quick}
	random := rand.New(rand.NewPCG(seed, 1))
	points := deck(random, fault.Points, 0)
	rest := deck(random, others, firstOthers)
	slowly := 0 // in short runs two slow steps are enough
	for len(p.steps) < kills {
		s := step{name: "kill-point", after: time.Duration(200+random.IntN(800)) * time.Millisecond,
			hold: time.Duration(100+random.IntN(1500)) * time.Millisecond, cut: random.Float64(), dice: random.IntN(1000)}
		if len(p.steps)%2 == 0 {
			s.point = points()
		} else {
			s.name = rest()
		}
		if only != "" {
			s.name, s.point = only, ""
			if i := strings.IndexByte(only, '@'); i > 0 {
				s.name, s.point = only[:i], only[i+1:]
			}
		}
		switch s.name {
		case "stop-point":
			if s.point == "" {
				s.point = points()
			}
		case "power-cut":
			s.point = "journal.published"
		case "stop":
			if s.dice%8 == 0 {
				s.hold = 6 * time.Second // longer than a publish waits for its acknowledgement
			}
		}
		if only == "" && (slow[s.name] || s.point == "trim.purging") {
			if slowly++; quick || kills <= 20 && slowly > 2 {
				continue
			}
		}
		if s.point != "" {
			s.count = 1 + random.IntN(frequent[s.point])
		}
		p.steps = append(p.steps, s)
	}
	return p
}

// deck deals the names in random order, all of them before any a second time, and in the first round the first ones first.
func deck(random *rand.Rand, names []string, first int) func() string {
	left := random.Perm(first)
	for _, i := range random.Perm(len(names) - first) {
		left = append(left, first+i)
	}
	return func() string {
		if len(left) == 0 {
			left = random.Perm(len(names))
		}
		name := names[left[0]]
		left = left[1:]
		return name
	}
}

func (p *plan) String() string {
	var b strings.Builder
	for i, s := range p.steps {
		fmt.Fprintf(&b, "  %3d  %s\n", i+1, s)
	}
	return b.String()
}
