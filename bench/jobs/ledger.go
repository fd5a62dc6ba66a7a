package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ledger is the file that every run of a job signs, whichever system ran it. Its name is given to workers in BENCH_LEDGER.
type ledger struct {
	path string
	read int64 // bytes taken in so far
	runs map[uint64][]run
}

// run is one signature.
type run struct {
	at  time.Duration // CLOCK_MONOTONIC
	pid int
}

const recordSize = 24

func openLedger(path string) (*ledger, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &ledger{path: path, runs: map[uint64][]run{}}, file.Close()
}

// size is the number of signatures in the file.
func (l *ledger) size() int {
	info, err := os.Stat(l.path)
	if err != nil {
		return 0
	}
	return int(info.Size() / recordSize)
}

// load takes in what was signed since the last time.
func (l *ledger) load() error {
	file, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer file.Close()
	fresh := make([]byte, int64(l.size())*recordSize-l.read)
	if _, err := file.ReadAt(fresh, l.read); err != nil && len(fresh) > 0 {
		return err
	}
	l.read += int64(len(fresh))
	for ; len(fresh) > 0; fresh = fresh[recordSize:] {
		index := binary.LittleEndian.Uint64(fresh)
		l.runs[index] = append(l.runs[index], run{
			at:  time.Duration(binary.LittleEndian.Uint64(fresh[8:])),
			pid: int(binary.LittleEndian.Uint32(fresh[16:])),
		})
	}
	return nil
}

// check is the delivery check: every job in [first, first+count) ran exactly once.
func (l *ledger) check(first, count int) error {
	if err := l.load(); err != nil {
		return err
	}
	lost, twice := 0, 0
	for index := first; index < first+count; index++ {
		switch len(l.runs[uint64(index)]) {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	if lost+twice > 0 {
		return fmt.Errorf("delivery check: of %d jobs %d never ran and %d ran more than once", count, lost, twice)
	}
	return nil
}

// began is when the program's clocks were laid side by side.
var began, beganMonotonic = func() (time.Time, time.Duration) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Now(), time.Duration(now.Nano())
}()

// monotonic is t on CLOCK_MONOTONIC, the clock that workers sign with and that all processes of a machine share.
func monotonic(t time.Time) time.Duration { return beganMonotonic + t.Sub(began) }
