package workers

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCrash(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		p, host := open(t, cfg)
		for _, c := range []struct {
			function, args string
			want           Death
		}{
			{"leave", `{"code":7}`, Death{Reason: "exit", ExitCode: 7}},
			{"kill", `{"number":9}`, Death{Reason: "signal", ExitCode: -1, Signal: "SIGKILL"}},
			{"segfault", `{}`, Death{Reason: "signal", ExitCode: -1, Signal: "SIGSEGV"}},
		} {
			r, _ := run(t, p, c.function, c.args)
			o := r.end()
			if o.Ending != Crashed || o.Death == nil {
				t.Fatalf("%s: %+v", c.function, o)
			}
			if d := *o.Death; d.Reason != c.want.Reason || d.ExitCode != c.want.ExitCode || d.Signal != c.want.Signal || d.MaxRSS == 0 {
				t.Errorf("%s: %+v", c.function, d)
			}
			if last := strings.Join(o.Death.Last, "\n"); c.function == "leave" && !strings.HasSuffix(last, "last words") {
				t.Errorf("last lines: %q", last)
			} else if c.function == "segfault" && !strings.Contains(last, "Segmentation fault") {
				t.Errorf("last lines: %q", last)
			}
		}
		r, _ := run(t, p, "add", `{"a":1,"b":1}`)
		if o := r.end(); o.Ending != Succeeded {
			t.Errorf("after the crashes: %+v", o)
		}
		if s := p.Status(); !s.Healthy || s.Deaths["signal"] != 2 || s.Deaths["exit"] != 1 {
			t.Errorf("%+v", s)
		}
		host.mu.Lock()
		defer host.mu.Unlock()
		if len(host.deaths) != 3 {
			t.Errorf("deaths: %+v", host.deaths)
		}
	})
}

func TestStagedTasksAreInterrupted(t *testing.T) {
	p, _ := open(t, Config{Zygote: true})
	p.mu.Lock()
	for _, name := range []string{"add", "kill"} { // known as short: the one may have been measured while the machine was busy, the other cannot be
		fn := p.gen.byName[name]
		fn.seen, fn.usual, fn.peak = 10, time.Microsecond, time.Microsecond
	}
	p.mu.Unlock()
	var records []*record
	for i := range 10 {
		r := newRecord(t)
		task := &Task{Function: "add", Args: fmt.Appendf(nil, `{"a":%d,"b":0}`, i), Sink: r}
		if i == 4 {
			task.Function, task.Args = "kill", []byte(`{"number":9}`)
		}
		if _, ok := p.Offer(task); !ok {
			t.Fatalf("task %d of a frame was refused", i)
		}
		records = append(records, r)
	}
	p.Flush()
	for i, r := range records {
		o := r.end()
		switch {
		case i > 4 && o.Ending != Interrupted:
			t.Errorf("task %d behind the crash: %+v", i, o)
		case i <= 4 && o.Ending != Succeeded && o.Ending != Crashed && o.Ending != Interrupted:
			t.Errorf("task %d: %+v", i, o)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, MaxMemory: 120 << 20, WatchEvery: 10 * time.Millisecond})
	r, _ := run(t, p, "eat", `{"megabytes":4000}`)
	o := r.end()
	if o.Ending != Crashed || o.Death == nil || o.Death.Reason != "out_of_memory" || o.Death.Signal != "SIGKILL" || o.Death.MaxRSS < 120<<20 {
		t.Fatalf("%+v %+v", o, o.Death)
	}
	r, _ = run(t, p, "eat", `{"megabytes":1}`)
	if o := r.end(); o.Ending != Succeeded {
		t.Errorf("under the limit: %+v", o)
	}
}

func TestZygoteKilled(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, Min: 2, Max: 2})
	r, _ := run(t, p, "nap", `{"seconds":600}`)
	r.wait(r.progressed, "progress")
	first := p.Status().Zygote
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if o := r.end(); o.Ending != Interrupted { // its workers die with it, and no task is to blame
		t.Errorf("%+v", o)
	}
	until(t, "a new zygote", func() bool { now := p.Status().Zygote; return now != 0 && now != first })
	r, _ = run(t, p, "add", `{"a":1,"b":1}`)
	if o := r.end(); o.Ending != Succeeded {
		t.Errorf("%+v", o)
	}
}

func TestCancelLadder(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.CancelGrace = 400 * time.Millisecond
		p, _ := open(t, cfg)
		for _, c := range []struct {
			function string
			ending   Ending
			killed   bool
		}{
			{"polite", Succeeded, false},   // sees the flag and returns
			{"spin", Cancelled, false},     // meets the exception
			{"stubborn", Cancelled, false}, // meets SIGINT
			{"deaf", Cancelled, true},      // is killed
		} {
			t.Run(c.function, func(t *testing.T) {
				r, run := run(t, p, c.function, `{}`)
				r.wait(r.progressed, "progress")
				run.Cancel("cancelled")
				run.Cancel("timeout") // too late to matter
				o := r.end()
				if o.Ending != c.ending || (o.Death != nil) != c.killed {
					t.Fatalf("%+v", o)
				}
				if c.killed && (o.Death.Reason != "cancelled" || o.Death.Signal != "SIGKILL") {
					t.Errorf("%+v", o.Death)
				}
				if c.ending == Cancelled && !c.killed && (o.Error == nil || o.Error.Kind != "cancelled") {
					t.Errorf("%+v", o.Error)
				}
			})
		}
	})
}

func TestTimeout(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, CancelGrace: 200 * time.Millisecond})
	for _, c := range []struct {
		function string
		killed   bool
	}{{"spin", false}, {"deaf", true}} {
		r, _ := runTask(t, p, &Task{Function: c.function, Args: []byte(`{}`), Timeout: 50 * time.Millisecond})
		o := r.end()
		if o.Ending != TimedOut || (o.Death != nil) != c.killed {
			t.Fatalf("%s: %+v", c.function, o)
		}
		if c.killed && o.Death.Reason != "timeout" {
			t.Errorf("%+v", o.Death)
		}
	}
}

func TestCancelBeforeItBegan(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, CancelGrace: 100 * time.Millisecond})
	busy, running := run(t, p, "nap", `{"seconds":600}`)
	busy.wait(busy.progressed, "progress")
	r := newRecord(t)
	call, err := p.Call(&Task{Function: "whoami", Args: []byte(`{}`), Sink: r}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	call.Cancel("gone")
	if o := r.end(); o.Ending != Cancelled {
		t.Errorf("waiting call: %+v", o)
	}
	running.Cancel("cancelled")
	if o := busy.end(); o.Ending != Cancelled {
		t.Errorf("%+v", o)
	}
	r = newRecord(t)
	until(t, "room", func() bool {
		staged, ok := p.Offer(&Task{Function: "noop", Args: []byte(`{}`), Sink: r})
		if ok {
			staged.Cancel("cancelled") // gathered, never flushed
		}
		return ok
	})
	if o := r.end(); o.Ending != Cancelled {
		t.Errorf("gathered task: %+v", o)
	}
	after, _ := run(t, p, "add", `{"a":1,"b":1}`)
	if o := after.end(); o.Ending != Succeeded {
		t.Errorf("%+v", o)
	}
}

func TestWorkerThatBreaksTheProtocol(t *testing.T) {
	p, _ := open(t, Config{})
	r, _ := run(t, p, "babble", `{}`)
	if o := r.end(); o.Ending != Crashed || o.Death.Reason != "protocol" {
		t.Errorf("%+v %+v", o, o.Death)
	}
	r, _ = run(t, p, "hang_up", `{}`)
	if o := r.end(); o.Ending != Crashed || o.Death.Signal != "SIGKILL" {
		t.Errorf("%+v %+v", o, o.Death)
	}
	r, _ = run(t, p, "add", `{"a":1,"b":1}`)
	if o := r.end(); o.Ending != Succeeded {
		t.Errorf("%+v", o)
	}
}
