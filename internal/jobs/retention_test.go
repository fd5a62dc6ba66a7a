package jobs

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// TestRetentionOfManyJobs has several strides of jobs in the index, many of which ended at the same moment.
func TestRetentionOfManyJobs(t *testing.T) {
	x, err := openIndex(filepath.Join(t.TempDir(), "index"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.close() })
	const count, together = 3*stride + 7, 5 // jobs, and how many of them end at once
	began := time.Now()
	var rows []row
	for i := range count {
		r := row{Info: Info{Function: "f", Queue: "q", Finished: began.Add(time.Duration(i/together) * time.Second)}, state: Succeeded, seq: uint64(1000 + i)}
		r.id = ID{byte(i >> 8), byte(i)}
		rows = append(rows, r)
	}
	rand.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
	waiting := row{Info: Info{Function: "f", Queue: "q"}, state: Ready, seq: 1} // needs nothing: it is in memory
	waiting.id = ID{0xfe}
	other := row{Info: Info{Function: "f", Queue: "other", Finished: began}, state: Succeeded, seq: 2}
	other.id = ID{0xff}
	if err := x.write(append(rows, waiting, other), 1); err != nil {
		t.Fatal(err)
	}
	left := func() (n int) {
		if err := x.db.QueryRow("SELECT count(*) FROM jobs WHERE queue = 'q' AND state = ?", int64(Succeeded)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	lowest := func() uint64 {
		x.bounds.forget()
		seq, err := x.oldest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	if got := lowest(); got != 2 {
		t.Errorf("the oldest needs message %d", got)
	}
	if _, err := x.db.Exec("DELETE FROM jobs WHERE queue = 'other'"); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []int{0, count, count - 2, 2*stride + together, 2 * stride, 2*stride - 1, stride, together, 1} {
		before := left()
		x.bounds.forget() // no slack
		if err := x.retain(t.Context(), "q", config.Keep{Succeeded: config.Retention{Count: keep}}, began); err != nil {
			t.Fatal(err)
		}
		want := before
		if keep > 0 && keep < before {
			const last = count % together // at the last moment
			if want = 0; keep >= last {
				want = last + (keep-last)/together*together // whole moments
			}
		}
		got := left()
		if got != want {
			t.Errorf("of %d jobs %d are left if %d are kept, want %d", before, got, keep, want)
		}
		if oldest := lowest(); got > 0 && oldest != uint64(1000+count-got) {
			t.Errorf("the oldest of %d needs message %d", got, oldest)
		}
	}
	if got := lowest(); got != math.MaxUint64 {
		t.Error("without jobs, message is needed:", got)
	}
	if err := x.write(rows, 1); err != nil {
		t.Fatal(err)
	}
	age := config.Keep{Succeeded: config.Retention{Age: time.Hour}}
	if err := x.retain(t.Context(), "q", age, began.Add(time.Hour+100*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, want := left(), count-101*together; got != want {
		t.Errorf("%d are left after their time, want %d", got, want)
	}
}

// TestRetentionLooksWhenItMust has the index change between passes of the retention, which reads it only if more than an eighth may have.
func TestRetentionLooksWhenItMust(t *testing.T) {
	x, err := openIndex(filepath.Join(t.TempDir(), "index"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.close() })
	began, written := time.Now(), 0
	add := func(n int, state State) {
		rows := make([]row, n)
		for i := range rows {
			written++
			rows[i] = row{Info: Info{Queue: "q", Finished: began.Add(time.Duration(written) * time.Millisecond)}, state: state, seq: uint64(written)}
			rows[i].id = ID{byte(written >> 16), byte(written >> 8), byte(written)}
		}
		if err := x.write(rows, 0); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(keep, left int, oldest uint64) {
		t.Helper()
		if err := x.retain(t.Context(), "q", config.Keep{Succeeded: config.Retention{Count: keep}, Dead: config.Retention{Count: 3}}, began); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := x.db.QueryRow("SELECT count(*) FROM jobs WHERE state = ?", int64(Succeeded)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		seq, err := x.oldest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n != left || seq != oldest {
			t.Errorf("%d are left if %d are kept, the oldest needs message %d; want %d and %d", n, keep, seq, left, oldest)
		}
	}
	const keep = 2 * stride
	add(keep-100, Succeeded)
	pass(keep, keep-100, 1) // all are passed, and counted as two strides
	add(keep/slack, Succeeded)
	pass(keep, keep-100+keep/slack, 1) // as many as there may be without looking
	add(1, Succeeded)
	pass(keep, keep, 1) // 26 have gone, too few to look which is the lowest
	add(keep/slack, Succeeded)
	pass(keep, keep+keep/slack, 1)
	add(1, Succeeded)
	pass(keep, keep, 26+126+1)
	add(5, Dead)
	pass(keep, keep, 26+126+1) // of another state, and exact because they are few
	var dead int
	if err := x.db.QueryRow("SELECT count(*) FROM jobs WHERE state = ?", int64(Dead)).Scan(&dead); err != nil || dead != 3 {
		t.Error(dead, err)
	}
	late := []row{{Info: Info{Queue: "q", Finished: began.Add(time.Hour)}, state: Cancelled, seq: 7, id: ID{0xff}}}
	if err := x.write(late, 0); err != nil {
		t.Fatal(err)
	}
	pass(keep, keep, 7) // a job that waited for long
	pass(stride, stride, 7)
	if err := x.reset(); err != nil {
		t.Fatal(err)
	}
	pass(stride, 0, math.MaxUint64)
}
