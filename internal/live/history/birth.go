package history

import (
	"crypto/rand"
	"strconv"
	"time"
)

// birth is the epoch of channels that have no message in the stream. It is kept with the stream, so that a client of a channel
// without publications is not told after a restart that it missed something.
//
// Two lives of one channel must not have the same epoch. A channel whose messages are all gone begins a new life after a restart
// (and after its rest was forgotten), and all messages can only be gone when they are older than the age of the history. So a
// birth that is older than the age is not used after a restart.
type birth struct {
	epoch string
	at    time.Time
}

const (
	metaEpoch = "headrace.epoch"
	metaSince = "headrace.epoch-since"
)

func newBirth() birth { return birth{newEpoch(), time.Now()} }

// newEpoch is different from all others.
func newEpoch() string { return rand.Text()[:12] }

func (b birth) metadata() map[string]string {
	return map[string]string{metaEpoch: b.epoch, metaSince: strconv.FormatInt(b.at.UnixMilli(), 10)}
}

// parseBirth is zero, and so old, when the metadata tell none.
func parseBirth(metadata map[string]string) birth {
	since, err := strconv.ParseInt(metadata[metaSince], 10, 64)
	if err != nil || metadata[metaEpoch] == "" {
		return birth{}
	}
	return birth{metadata[metaEpoch], time.UnixMilli(since)}
}

func (b birth) older(age time.Duration) bool {
	passed := time.Since(b.at)
	return passed < 0 || passed >= age
}
