package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// entry is what is known of one job from outside.
type entry struct {
	ref, kind string
	want      string // terminal state it must reach
	tenant    string // of an ordered job
	n         int    // its place among those of the tenant
	query     string // of the request that asked for it alone
	args      string // likewise
	id        string // once acknowledged
	acked     time.Time
	state     string // terminal one, once seen
	finished  string // as told with it
	closed    bool   // seen ended and checked; retention may have removed it
}

// book is the clients' ledger: what was asked for and what was acknowledged.
type book struct {
	mu       sync.Mutex
	file     *os.File
	entries  map[string]*entry // by ref
	order    []*entry          // acknowledged, in that order
	problems []string
	counts   map[string]int // of what happened, for the report
}

func newBook(name string) (*book, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &book{file: file, entries: map[string]*entry{}, counts: map[string]int{}}, err
}

// violation notes something that must not be.
func (b *book) violation(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	b.problems = append(b.problems, text)
	if len(b.problems) <= 30 {
		fmt.Println("  VIOLATION", text)
	}
}

func (b *book) violations() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.problems)
}

func (b *book) count(what string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[what] += n
}

// ask notes a job before it is asked for.
func (b *book) ask(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[e.ref] = e
}

// ack notes the id that a job was acknowledged with. Another one than before breaks the promise of the idempotency key.
func (b *book) ack(e *entry, id string) {
	b.mu.Lock()
	before := e.id
	if before == "" {
		e.id, e.acked = id, time.Now()
		b.order = append(b.order, e)
		fmt.Fprintf(b.file, "%d %s %s %s\n", e.acked.UnixNano(), id, e.kind, e.ref)
	}
	b.mu.Unlock()
	if before != "" && before != id {
		b.violation("one idempotency key, two jobs: %s is %s and %s", e.ref, before, id)
	}
}

// seen notes how a job stands. A terminal state is for ever.
func (b *book) seen(e *entry, state, finished string) {
	if !terminal(state) {
		if e.state != "" {
			b.violation("%s %s (%s) was %s and is %s", e.kind, e.ref, e.id, e.state, state)
		}
		return
	}
	b.mu.Lock()
	before, when := e.state, e.finished
	e.state, e.finished = state, finished
	b.mu.Unlock()
	if before != "" && before != state {
		b.violation("%s %s (%s) was %s at %s and is %s at %s", e.kind, e.ref, e.id, before, when, state, finished)
	}
	if before == "" && state != e.want {
		b.violation("%s %s (%s) ended %s, not %s", e.kind, e.ref, e.id, state, e.want)
	}
}

func terminal(state string) bool {
	return state == "succeeded" || state == "dead" || state == "cancelled" || state == "expired"
}

// acknowledged returns the jobs that are acknowledged and not closed; open ones only have not been seen to end.
func (b *book) acknowledged(open bool) (list []*entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.order {
		if !e.closed && (!open || e.state == "") {
			list = append(list, e)
		}
	}
	return list
}
