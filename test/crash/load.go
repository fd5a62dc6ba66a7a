package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// load are the clients: each asks for one thing after the other and goes on only when it is acknowledged.
type load struct {
	node    *node
	book    *book
	follow  func(ctx context.Context, e *entry) // follows a job's events to its end
	clients sync.WaitGroup
	stop    context.CancelFunc
}

func (l *load) start(ctx context.Context, seed uint64, quick bool) {
	ctx, l.stop = context.WithCancel(ctx)
	pace := 35 * time.Millisecond
	if quick {
		pace *= 2
	}
	run := func(name string, every time.Duration, one func(ctx context.Context, r *rand.Rand, name string)) {
		l.clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(name[0])<<8|uint64(name[1])))
			for i := 0; ctx.Err() == nil; i++ {
				one(ctx, r, fmt.Sprintf("%s-%d", name, i))
				_ = pause(ctx, every/2+time.Duration(r.Int64N(int64(every))))
			}
		})
	}
	for i := range 3 {
		run(fmt.Sprintf("s%d", i), pace, l.single)
	}
	run("b0", 12*pace, l.batch)
	for i := range 2 {
		n := 0
		run(fmt.Sprintf("t%d", i), 2*pace, func(ctx context.Context, _ *rand.Rand, ref string) {
			e := &entry{ref: ref, kind: "ordered", want: "succeeded", tenant: ref[:2], n: n}
			l.book.ask(e)
			l.post(ctx, e, "", fmt.Sprintf(`{"ref":%q,"tenant":%q,"n":%d}`, ref, e.tenant, n))
			n++
		})
	}
	for i := range 2 {
		run(fmt.Sprintf("f%d", i), pace, func(ctx context.Context, r *rand.Rand, ref string) {
			e := &entry{ref: ref, kind: "talk", want: "succeeded"}
			l.book.ask(e)
			l.post(ctx, e, []string{"", "?delay=300ms"}[r.IntN(2)], fmt.Sprintf(`{"ref":%q,"steps":%d}`, ref, 2+r.IntN(20)))
			if e.id != "" {
				l.follow(ctx, e)
			}
		})
	}
}

// end stops the clients. What they had asked for and was not acknowledged may exist or not.
func (l *load) end() {
	l.stop()
	l.clients.Wait()
}

// greedy asks for jobs that eat memory until they are killed: one at every attempt, one at the first only.
func (l *load) greedy(ctx context.Context, name string) {
	for i, want := range []string{"dead", "succeeded"} {
		e := &entry{ref: fmt.Sprintf("%s-%d", name, i), kind: "greedy", want: want}
		l.book.ask(e)
		l.post(ctx, e, "", fmt.Sprintf(`{"ref":%q,"always":%t}`, e.ref, want == "dead"))
	}
}

// single asks for one job, and now and then again for one it has.
func (l *load) single(ctx context.Context, r *rand.Rand, ref string) {
	e := &entry{ref: ref, want: "succeeded"}
	args, query := fmt.Sprintf(`{"ref":%q}`, ref), ""
	switch d := r.IntN(100); {
	case d < 35:
		e.kind = "noop"
	case d < 60:
		e.kind = "nap"
	case d < 70:
		e.kind = "stepped"
	case d < 77:
		e.kind = "parent"
	case d < 85:
		e.kind, args = "flaky", fmt.Sprintf(`{"ref":%q,"fails":%d}`, ref, 1+d%2)
	case d < 87:
		e.kind, e.want = "hopeless", "dead"
	case d < 94:
		e.kind = "embed"
	default:
		e.kind, query = "noop", fmt.Sprintf("?delay=%dms&priority=high", 500+r.IntN(6000))
	}
	l.book.ask(e)
	l.post(ctx, e, query, args)
	if e.id != "" && r.IntN(15) == 0 {
		_ = pause(ctx, time.Duration(r.IntN(2000))*time.Millisecond)
		l.post(ctx, e, query, args)
		l.book.count("keys repeated", 1)
	}
}

// post asks until it is acknowledged, always under the same idempotency key.
func (l *load) post(ctx context.Context, e *entry, query, args string) {
	e.query, e.args = query, args
	l.insist(ctx, "/v1/jobs/"+e.kind+query, e.ref, args, func(body []byte) error {
		var told struct{ ID, Durability string }
		if err := json.Unmarshal(body, &told); err != nil || told.ID == "" || told.Durability != "fsync" {
			return fmt.Errorf("answer %.300s, %v", body, err)
		}
		l.book.ack(e, told.ID)
		return nil
	})
}

// repeat asks again for jobs from the whole time of the load: a key holds over every kill, and over the removal of its job.
func (l *load) repeat(ctx context.Context) {
	const most = 200
	list := l.book.order
	for i := 0; i < len(list); i += 1 + len(list)/most {
		if e := list[i]; e.args != "" {
			l.post(ctx, e, e.query, e.args)
			l.book.count("keys repeated at the end", 1)
		}
	}
}

// batch asks for many jobs at once, the last of which joins the first three.
func (l *load) batch(ctx context.Context, r *rand.Rand, ref string) {
	type item struct {
		Function string            `json:"function"`
		Args     map[string]string `json:"args"`
		Key      string            `json:"idempotency_key"`
		Ref      string            `json:"ref"`
		After    []string          `json:"after,omitempty"`
	}
	items := make([]item, 4+r.IntN(20))
	entries := make([]*entry, len(items))
	for i := range items {
		e := &entry{ref: fmt.Sprintf("%s-%d", ref, i), kind: []string{"noop", "nap", "embed"}[i%3], want: "succeeded"}
		if i == len(items)-1 {
			e.kind, items[i].After = "join", []string{"@" + items[0].Ref, "@" + items[1].Ref, "@" + items[2].Ref}
		}
		items[i].Function, items[i].Args, items[i].Key, items[i].Ref = e.kind, map[string]string{"ref": e.ref}, e.ref, e.ref
		entries[i] = e
		l.book.ask(e)
	}
	body, err := json.Marshal(items)
	if err != nil {
		panic(err)
	}
	l.insist(ctx, "/v1/jobs", "", string(body), func(body []byte) error {
		var told struct {
			Jobs []struct {
				ID    string
				Error json.RawMessage
			}
		}
		if err := json.Unmarshal(body, &told); err != nil || len(told.Jobs) != len(entries) {
			return fmt.Errorf("answer %.300s, %v", body, err)
		}
		for i, e := range entries {
			if told.Jobs[i].ID == "" {
				return fmt.Errorf("entry %s was refused: %s", e.ref, told.Jobs[i].Error)
			}
			l.book.ack(e, told.Jobs[i].ID)
		}
		return nil
	})
}

// insist repeats a request until it is answered with 202. Lost connections, 503 and 507 are what kills and full disks look like to a client.
func (l *load) insist(ctx context.Context, path, key, body string, told func([]byte) error) {
	for ctx.Err() == nil {
		status, answer, err := l.node.do(ctx, http.MethodPost, path, key, body)
		switch {
		case err != nil:
			l.book.count("requests cut off", 1)
		case status == http.StatusAccepted:
			if err := told(answer); err != nil {
				l.book.violation("POST %s: %v", path, err)
			}
			return
		case status == http.StatusServiceUnavailable || status == http.StatusInsufficientStorage:
			l.book.count(fmt.Sprintf("requests answered %d", status), 1)
		default:
			l.book.violation("POST %s: status %d: %.500s", path, status, answer)
			return
		}
		_ = pause(ctx, 50*time.Millisecond)
	}
}

// do makes one request of the admin API.
func (n *node) do(ctx context.Context, method, path, key, body string) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.admin+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := n.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// get decodes the answer of a GET; ok is false unless it is 200.
func (n *node) get(ctx context.Context, path string, into any) (status int, err error) {
	status, body, err := n.do(ctx, http.MethodGet, path, "", "")
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(body, into)
	}
	return status, err
}
