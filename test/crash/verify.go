package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// close checks all that has ended so far and takes it off the list, since retention is about to remove it.
func (s *suite) close(ctx context.Context) error {
	ended := s.book.acknowledged(false)
	ended = slices.DeleteFunc(ended, func(e *entry) bool { return e.state == "" })
	if err := s.check(ctx, ended); err != nil {
		return err
	}
	if err := s.followers.again(ctx); err != nil {
		return err
	}
	if err := s.memory(ctx); err != nil {
		return err
	}
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	for _, e := range ended {
		e.closed = true
	}
	return nil
}

// check reads jobs once more, several at a time.
func (s *suite) check(ctx context.Context, list []*entry) error {
	work := make(chan *entry)
	var readers sync.WaitGroup
	var failed sync.Map
	for range 6 {
		readers.Go(func() {
			for e := range work {
				if poll(ctx, 20*time.Second, 100*time.Millisecond, func() bool { return s.look(ctx, e) }) != nil {
					failed.Store(e.id, true)
				} else if e.state == "" && !e.closed {
					s.book.violation("%s %s (%s) has not ended", e.kind, e.ref, e.id)
				}
			}
		})
	}
	for _, e := range list {
		work <- e
	}
	close(work)
	readers.Wait()
	n := 0
	failed.Range(func(any, any) bool { n++; return true })
	if n > 0 {
		return fmt.Errorf("%d jobs could not be read", n)
	}
	return nil
}

// verify compares what was acknowledged with what headrace tells and with what the functions did.
func (s *suite) verify(ctx context.Context) error {
	if err := s.check(ctx, s.book.acknowledged(false)); err != nil {
		return err
	}
	if err := s.followers.again(ctx); err != nil {
		return err
	}
	marks, err := readLedger(s.node.ledger)
	if err != nil {
		return err
	}
	runs := map[string][]mark{}
	for _, m := range marks {
		runs[m.ref] = append(runs[m.ref], m)
	}
	for _, e := range s.book.order {
		s.ran(e, runs[e.ref])
	}
	for ref, list := range runs {
		if s.book.entries[ref] == nil && !s.child(ctx, ref, list, runs) {
			s.book.violation("%s (%s) ran and nobody asked for it", ref, list[0].id)
		}
	}
	s.ordered(marks)
	s.elsewhere(marks)
	return s.memory(ctx)
}

// ran checks the runs of one job.
func (s *suite) ran(e *entry, marks []mark) {
	done := false
	for i, m := range marks {
		done = done || m.what == "done"
		if m.id != "-" && m.id != e.id {
			s.book.violation("%s %s is %s, and %s ran as well", e.kind, e.ref, e.id, m.id)
		}
		if m.what != "begin" || i == 0 {
			continue
		}
		before := marks[i-1]
		if before.what == "fail" {
			continue // by design
		}
		if e.kind == "greedy" && before.what == "begin" && before.pid != m.pid && m.attempt > before.attempt {
			s.book.count("runs out of memory", 1)
			continue
		}
		s.book.count("duplicate runs", 1)
		if !s.killed(marks[:i], m) {
			s.book.violation("%s %s (%s) ran again at %s, and no kill was between: %+v", e.kind, e.ref, e.id, m.at.Format(time.StampMilli), marks)
		}
	}
	s.book.count("runs", len(marks))
	if e.state == "succeeded" && !done {
		s.book.violation("%s %s (%s) succeeded and never ran to its end", e.kind, e.ref, e.id)
	}
}

// killed tells whether a kill was between the run before and this one.
func (s *suite) killed(before []mark, again mark) bool {
	began := before[0]
	for _, m := range before {
		if m.what == "begin" {
			began = m
		}
	}
	return slices.ContainsFunc(s.kills, func(k kill) bool {
		return !k.to.Before(began.at) && !k.from.After(again.at) && (k.pid == 0 || k.pid == began.pid)
	})
}

// child tells whether a job was enqueued by another one, and checks that it has ended.
func (s *suite) child(ctx context.Context, ref string, marks []mark, runs map[string][]mark) bool {
	name, is := cutSuffix(ref, "/child")
	if !is || s.book.entries[name] == nil || len(runs[name]) == 0 {
		return false
	}
	s.book.count("children", 1)
	if slices.ContainsFunc(marks, func(m mark) bool { return m.what == "done" }) {
		return true
	}
	s.book.violation("child %s of %s did not run to its end", marks[0].id, name)
	return true
}

func cutSuffix(text, suffix string) (string, bool) {
	if n := len(text) - len(suffix); n > 0 && text[n:] == suffix {
		return text[:n], true
	}
	return text, false
}

// ordered checks that the jobs of a key ended in the order in which they were acknowledged.
func (s *suite) ordered(marks []mark) {
	last, first := map[string]*entry{}, map[string]bool{}
	for _, m := range marks {
		e := s.book.entries[m.ref]
		if e == nil || e.tenant == "" || m.what != "done" || first[m.ref] {
			continue
		}
		first[m.ref] = true
		if before := last[e.tenant]; before != nil && before.n > e.n {
			s.book.violation("key %s: number %d (%s) was done after %d (%s)", e.tenant, e.n, e.id, before.n, before.id)
		}
		last[e.tenant] = e
		s.book.count("ordered jobs", 1)
	}
}

// elsewhere measures how long the job of a killed worker took to run again.
func (s *suite) elsewhere(marks []mark) {
	for _, k := range s.kills {
		if k.pid == 0 {
			continue
		}
		var cut *mark
		for i := range marks {
			m := &marks[i]
			switch {
			case m.at.Before(k.to) && m.pid == k.pid && m.what == "begin":
				cut = m
			case m.at.Before(k.to) && m.pid == k.pid && cut != nil && m.ref == cut.ref:
				cut = nil
			case cut != nil && m.at.After(k.to) && m.what == "begin" && m.ref == cut.ref:
				s.elsewhereP = append(s.elsewhereP, m.at.Sub(k.from))
				cut = nil
			}
		}
	}
}

// memory checks the cause of death of jobs that ate memory.
func (s *suite) memory(ctx context.Context) error {
	for _, e := range s.book.acknowledged(false) {
		if e.kind != "greedy" || e.state != "dead" {
			continue
		}
		var told struct {
			Attempts []struct {
				Ending string
				Death  *struct{ Reason string }
			}
		}
		status, err := s.node.get(ctx, "/v1/jobs/"+e.id+"/attempts", &told)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("attempts of %s: status %d, %w", e.id, status, err)
		}
		n := 0
		for _, a := range told.Attempts {
			if a.Death != nil && a.Death.Reason == "out_of_memory" {
				n++
			}
		}
		if n == 0 {
			s.book.violation("greedy job %s is dead, and no attempt says out_of_memory: %+v", e.id, told.Attempts)
		}
		s.book.count("deaths out_of_memory", n)
	}
	return nil
}
