package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/bench/rig"
)

func sign(t *testing.T, l *ledger, indices ...uint64) {
	t.Helper()
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, index := range indices {
		var b bytes.Buffer
		_ = binary.Write(&b, binary.LittleEndian, []uint64{index, uint64(monotonic(time.Now())), 4711})
		if _, err := file.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLedgerTellsLostAndRepeatedJobs(t *testing.T) {
	l, err := openLedger(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	sign(t, l, 1, 0, 2)
	if err := l.check(0, 3); err != nil {
		t.Error(err)
	}
	sign(t, l, 2, 4)
	if err := l.check(0, 2); err != nil {
		t.Error(err)
	}
	err = l.check(0, 5)
	if err == nil || !strings.Contains(err.Error(), "of 5 jobs 1 never ran and 1 ran more than once") {
		t.Errorf("error is %v", err)
	}
}

// The latencies of scenario 3 are differences between this clock and that of the workers.
func TestWorkersSignWithTheClockOfTheLoadGenerator(t *testing.T) {
	l, err := openLedger(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	script := exec.Command("python3", "-c", "import work; work.sign(7)")
	script.Env = append(os.Environ(), "PYTHONPATH=apps", "PYTHONDONTWRITEBYTECODE=1", "BENCH_LEDGER="+l.path, "BENCH_HOLD=/nonexistent")
	before := monotonic(time.Now())
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	after := monotonic(time.Now())
	if err := l.check(7, 1); err != nil {
		t.Fatal(err)
	}
	if run := l.runs[7][0]; run.at < before || run.at > after || run.pid != script.Process.Pid {
		t.Errorf("signed %+v, not between %v and %v by %d", run, before, after, script.Process.Pid)
	}
}

func TestProcessesAreMeasuredWithTheirChildren(t *testing.T) {
	p, err := spawn("shell", t.TempDir(), nil, "python3", "-c",
		"import os,time\nif os.fork(): os.wait()\nelse:\n x = b'x' * (64 << 20)\n t = time.process_time()\n while time.process_time() - t < 0.2: pass\n print('burnt', flush=True)\n time.sleep(60)")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = rig.Poll(t.Context(), 20*time.Second, 10*time.Millisecond, "burnt", func() (bool, error) {
		return strings.Contains(p.tail(), "burnt"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	roots := []int{p.pid()}
	if n := len(tree(p.pid())); n != 2 {
		t.Errorf("tree has %d processes", n)
	}
	if used := cpu(roots); used < 150*time.Millisecond || used > 10*time.Second {
		t.Errorf("cpu is %v", used)
	}
	if all, alone := memory(roots), rig.Resident(p.pid()); all < 64<<20 || alone > 64<<20 || peak(p.pid()) < alone {
		t.Errorf("memory is %d, of the parent %d", all, alone)
	}
}

func TestTableHasMediansRangesWordsAndRatios(t *testing.T) {
	r := &report{contenders: []string{"headrace", "A", "B"}, values: map[string]map[string][]float64{}, words: map[string]map[string]string{}}
	for _, rate := range []float64{20_000, 30_000, 10_000} {
		r.add(jobRate, "headrace", rate)
	}
	r.add(jobRate, "A", 5000)
	r.add(jobRate, "B", 4000)
	r.add(callP99, "headrace", 2)
	r.add(callP99, "A", 1)
	r.add(callP99, "B", 3)
	r.add(killRerun, "headrace", 12.345)
	r.say(killRerun, "A", "> 60 s")
	r.add(halfLoad+pickupRate, "headrace", 100)
	r.add(halfLoad+pickupRate, "A", 100)
	table := r.table()
	for _, row := range []string{
		"| 1. no-op jobs in batches, run, result recorded (jobs/s) | 20,000 (10,000…30,000) | 5,000 | 4,000 | 4.00× |",
		"| – call p99 (ms) | 2.00 | 1.00 | 3.00 | 0.500× |",
		"| 5. worker killed → its job runs elsewhere (ms) | 12.3 | > 60 s | – | – |",
		"| 3. pick-up at half load (jobs/s) | 100 | 100 | – | – |",
	} {
		if !strings.Contains(table, row+"\n") {
			t.Errorf("no row %s in\n%s", row, table)
		}
	}
}

func TestDigits(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.0123: "0.0123", 9.876: "9.88", 99.96: "100", 10: "10.0", 123.4: "123", 1234567: "1,230,000"} {
		if got := rig.Digits(value); got != want {
			t.Errorf("%v is %q, want %q", value, got, want)
		}
	}
}
