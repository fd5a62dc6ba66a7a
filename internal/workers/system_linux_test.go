package workers

import (
	"os"
	"testing"
)

func TestMeters(t *testing.T) {
	if got := residentBytes(os.Getpid()); got < 1<<20 || got > 1<<40 {
		t.Errorf("this process has %d resident bytes", got)
	}
	if got := residentBytes(1 << 30); got != 0 {
		t.Errorf("a process that is not there has %d resident bytes", got)
	}
	if busy := newMeter().busy(); busy < 0 || busy > 1 {
		t.Errorf("processors are busy by %f", busy)
	}
	if kernelKills() < 0 {
		t.Error("a negative number of kills")
	}
}
