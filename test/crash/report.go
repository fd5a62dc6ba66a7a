package main

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// report prints what happened as one table.
func (s *suite) report(total, loaded time.Duration) {
	b := s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	states := map[string]int{}
	for _, e := range b.order {
		state := e.state
		if state == "" {
			state = "not ended"
		}
		states[state]++
	}
	row := func(name string, value any) { fmt.Printf("  %-32s %v\n", name, value) }
	fmt.Println()
	row("seed", s.plan.seed)
	row("kills, stops and full disks", fmt.Sprintf("%d of %d", s.at, len(s.plan.steps)))
	for _, name := range slices.Sorted(maps.Keys(s.took)) {
		row("  "+name, s.took[name])
	}
	row("starts of headrace", s.node.starts)
	row("took", fmt.Sprintf("%s, %s of it under load", total.Round(time.Second), loaded.Round(time.Second)))
	row("jobs acknowledged", len(b.order))
	for _, state := range slices.Sorted(maps.Keys(states)) {
		row("  "+state, states[state])
	}
	for _, what := range slices.Sorted(maps.Keys(b.counts)) {
		row(what, b.counts[what])
	}
	row("kill of headrace to ready", spread(s.readyP))
	row("kill of worker to job elsewhere", spread(s.elsewhereP))
	row("violations", len(b.problems))
	for i, text := range b.problems {
		if i == 30 {
			fmt.Printf("    and %d more\n", len(b.problems)-i)
			break
		}
		fmt.Printf("    %.600s\n", text)
	}
}

func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	return fmt.Sprintf("p50 %s, max %s of %d", all[len(all)/2].Round(100*time.Microsecond), all[len(all)-1].Round(100*time.Microsecond), len(all))
}
