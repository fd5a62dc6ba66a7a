package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// event is one server-sent event of a job.
type event struct {
	n    int
	kind string
	data string
}

// followers follow the events of jobs through all that happens.
type followers struct {
	node   *node
	book   *book
	client *http.Client // without a limit for the whole answer
	mu     sync.Mutex
	told   map[*entry][]event
}

func newFollowers(n *node, b *book) *followers {
	return &followers{node: n, book: b, client: &http.Client{}, told: map[*entry][]event{}}
}

// follow reads to the job's end, coming back after each lost connection with the number of the last event.
func (f *followers) follow(ctx context.Context, e *entry) {
	var events []event
	for ctx.Err() == nil && !ended(events) {
		more, err := f.read(ctx, e, len(events))
		for _, one := range more {
			if want := len(events) + 1; one.n != want {
				f.book.violation("%s %s (%s): event %d (%s %s) came where %d was due", e.kind, e.ref, e.id, one.n, one.kind, one.data, want)
				return
			}
			events = append(events, one)
		}
		if err != nil {
			f.book.count("followers cut off", 1)
			_ = pause(ctx, 30*time.Millisecond)
		}
	}
	f.mu.Lock()
	f.told[e] = events
	f.mu.Unlock()
}

func ended(events []event) bool {
	return len(events) > 0 && terminal(events[len(events)-1].state())
}

// state is the state that a state event tells of.
func (e event) state() string {
	var told struct{ State string }
	if e.kind != "state" || json.Unmarshal([]byte(e.data), &told) != nil {
		return ""
	}
	return told.State
}

// read returns the events after the last one known, to the end of the connection or of the job.
func (f *followers) read(ctx context.Context, e *entry, last int) (events []event, err error) {
	// A stopped headrace neither tells nor closes; one that works sends a comment every fifteen seconds.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(20*time.Second, cancel)
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.node.admin+"/v1/jobs/"+e.id+"/events", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Last-Event-ID", strconv.Itoa(last))
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusNoContent {
		body, _ := io.ReadAll(answer.Body)
		f.book.violation("%s (%s): events after %d of a job whose end was not told: status %d %.200s", e.ref, e.id, last, answer.StatusCode, body)
		return []event{{n: last + 1, kind: "state", data: `{"state":"expired"}`}}, nil // nothing will follow
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	lines := bufio.NewScanner(answer.Body)
	var one event
	for lines.Scan() {
		silence.Reset(20 * time.Second)
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			if one.n, err = strconv.Atoi(value); err != nil {
				return events, err
			}
		case "event":
			one.kind = value
		case "data":
			one.data += value
		case "":
			if one.n > 0 {
				events = append(events, one)
			}
			if one = (event{}); ended(events) {
				return events, nil
			}
		}
	}
	if err = lines.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return events, err
}

// again reads the events of every followed job once more from the first: they must be those that were told.
func (f *followers) again(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e, before := range f.told {
		if e.closed || !ended(before) {
			continue
		}
		now, err := f.read(ctx, e, 0)
		if err != nil {
			return fmt.Errorf("events of %s: %w", e.id, err)
		}
		f.book.count("events compared", len(now))
		if len(now) != len(before) {
			f.book.violation("%s (%s): %d events were told, there are %d now", e.ref, e.id, len(before), len(now))
			continue
		}
		for i, one := range now {
			if was := before[i]; one.n != was.n || one.kind != was.kind || one.state() != was.state() || one.kind != "state" && !sameJSON(one.data, was.data) {
				f.book.violation("%s (%s): event %d was %s %s and is event %d: %s %s", e.ref, e.id, was.n, was.kind, was.data, one.n, one.kind, one.data)
				break
			}
		}
	}
	return nil
}

func sameJSON(a, b string) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, []byte(a)) == nil && json.Compact(&y, []byte(b)) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
