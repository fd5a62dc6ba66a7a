package main

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/fault"
)

func TestSameSeedSamePlan(t *testing.T) {
	one, two, other := newPlan(40, 7, false, "").String(), newPlan(40, 7, false, "").String(), newPlan(40, 8, false, "").String()
	if one != two || one == other {
		t.Error("the seed does not make the plan")
	}
	for _, point := range fault.Points {
		if !strings.Contains(one, point) || frequent[point] == 0 {
			t.Errorf("%s is not in a plan of 40 kills", point)
		}
	}
	for _, name := range others {
		if !strings.Contains(one, name) || actions[name] == nil {
			t.Errorf("%s is not in a plan of 40 kills", name)
		}
	}
}

// TestCutPower tears the last record of a real stream: it is gone then, and those before it are there.
func TestCutPower(t *testing.T) {
	for dice, how := range []string{"cut off", "zeros", "garbage"} {
		for _, share := range []float64{0, 0.03, 0.5, 0.97} {
			data := t.TempDir()
			if n := messages(t, data, 3); n != 3 {
				t.Fatalf("%d messages", n)
			}
			told, err := cutPower(data, "S", share, dice)
			if err != nil || !strings.Contains(told, how) {
				t.Fatal(told, err)
			}
			if n := messages(t, data, 1); n != 3 {
				t.Errorf("%s: %d messages after the cut and one more, want 3", told, n)
			}
		}
	}
}

// messages adds messages to the stream and returns how many it has then.
func messages(t *testing.T, data string, more int) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e, err := engine.Open(ctx, engine.Config{Data: data, MinFree: -1}, slog.New(slog.DiscardHandler))
	check(err)
	conn, err := e.Connect("test")
	check(err)
	js, err := jetstream.New(conn)
	check(err)
	stream, err := e.Stream(ctx, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage})
	check(err)
	for range more {
		_, err := js.Publish(ctx, "s", make([]byte, 200))
		check(err)
	}
	info, err := stream.Info(ctx)
	check(err)
	conn.Close()
	check(e.Stop(ctx))
	return info.State.Msgs
}

func TestLastRecord(t *testing.T) {
	block := func(sizes ...int) (b []byte) {
		for i, size := range sizes {
			r := make([]byte, size)
			binary.LittleEndian.PutUint32(r, uint32(size)|headersBit)
			binary.LittleEndian.PutUint64(r[4:], uint64(i+1))
			b = append(b, r...)
		}
		return b
	}
	if r, err := lastRecord(block(22, 300, 47)); err != nil || r != (record{322, 47, false}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range [][]byte{nil, block(300)[:299], block(22, 30)[:40], make([]byte, 64)} {
		if r, err := lastRecord(bad); !errors.Is(err, errNoRecord) {
			t.Errorf("%d bytes: %+v, %v", len(bad), r, err)
		}
	}
}

func FuzzLastRecord(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, block []byte) {
		if r, err := lastRecord(block); err == nil && (r.offset < 0 || r.size < recordHeader || r.offset+r.size != int64(len(block))) {
			t.Errorf("%+v of %d bytes", r, len(block))
		}
	})
}

func FuzzParseMark(f *testing.F) {
	f.Add("1700000000000000000 12 begin s0-1 01J 1")
	f.Fuzz(func(t *testing.T, line string) {
		if m, err := parseMark(line); err == nil && (m.what == "" || m.ref == "" || m.id == "") {
			t.Errorf("%q is %+v", line, m)
		}
	})
}

// TestWitnesses shows that the comparison finds what it is there to find.
func TestWitnesses(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(1_000_000 + ms)) }
	for name, c := range map[string]struct {
		marks []mark
		kills []kill
		want  string // part of the violation; empty for none
	}{
		"ran":              {marks: []mark{{at(1), 1, "begin", "a", "A", 1}, {at(2), 1, "done", "a", "A", 1}}},
		"failed first":     {marks: []mark{{at(1), 1, "begin", "a", "A", 1}, {at(2), 1, "fail", "a", "A", 1}, {at(3), 1, "begin", "a", "A", 2}, {at(4), 1, "done", "a", "A", 2}}},
		"never ran":        {want: "never ran to its end"},
		"twice":            {marks: []mark{{at(1), 1, "begin", "a", "A", 1}, {at(2), 1, "done", "a", "A", 1}, {at(5), 2, "begin", "a", "A", 1}}, want: "no kill was between"},
		"twice for a kill": {marks: []mark{{at(1), 1, "begin", "a", "A", 1}, {at(5), 2, "begin", "a", "A", 1}, {at(6), 2, "done", "a", "A", 1}}, kills: []kill{{at(3), at(3), 0}}},
		"killed another":   {marks: []mark{{at(1), 1, "begin", "a", "A", 1}, {at(5), 2, "begin", "a", "A", 1}, {at(6), 2, "done", "a", "A", 1}}, kills: []kill{{at(3), at(3), 9}}, want: "no kill was between"},
		"two jobs":         {marks: []mark{{at(1), 1, "begin", "a", "B", 1}, {at(2), 1, "done", "a", "B", 1}}, want: "ran as well"},
	} {
		t.Run(name, func(t *testing.T) {
			book, err := newBook(filepath.Join(t.TempDir(), "book"))
			if err != nil {
				t.Fatal(err)
			}
			s := &suite{book: book, kills: c.kills}
			s.ran(&entry{ref: "a", id: "A", kind: "noop", state: "succeeded"}, c.marks)
			switch {
			case c.want == "" && len(book.problems) > 0, c.want != "" && !strings.Contains(strings.Join(book.problems, " "), c.want):
				t.Errorf("violations %q, want %q", book.problems, c.want)
			}
		})
	}
}

func TestOrderIsSeen(t *testing.T) {
	book, err := newBook(filepath.Join(t.TempDir(), "book"))
	if err != nil {
		t.Fatal(err)
	}
	for i, ref := range []string{"a", "b", "c"} {
		book.ask(&entry{ref: ref, tenant: "t", n: i})
	}
	s := &suite{book: book}
	s.ordered([]mark{{what: "done", ref: "a"}, {what: "done", ref: "b"}, {what: "done", ref: "a"}, {what: "done", ref: "c"}})
	if len(book.problems) > 0 {
		t.Errorf("violations %q", book.problems)
	}
	s.ordered([]mark{{what: "done", ref: "a"}, {what: "done", ref: "c"}, {what: "done", ref: "b"}})
	if len(book.problems) != 1 {
		t.Errorf("violations %q", book.problems)
	}
}

func TestBookSeesChanges(t *testing.T) {
	book, err := newBook(filepath.Join(t.TempDir(), "book"))
	if err != nil {
		t.Fatal(err)
	}
	e := &entry{ref: "a", want: "succeeded"}
	book.ask(e)
	book.ack(e, "A")
	book.seen(e, "running", "")
	book.seen(e, "succeeded", "now")
	if len(book.problems) > 0 {
		t.Errorf("violations %q", book.problems)
	}
	book.ack(e, "B")
	book.seen(e, "dead", "later")
	book.seen(e, "ready", "")
	if len(book.problems) != 3 {
		t.Errorf("violations %q", book.problems)
	}
	if body, err := os.ReadFile(book.file.Name()); err != nil || strings.Count(string(body), "\n") != 1 {
		t.Errorf("ledger %q, %v", body, err)
	}
}
