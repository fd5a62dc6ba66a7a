package history

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/protocol"
)

// channel is the state of a channel that is in use or was so a short time ago. Publications of a channel go to the stream one
// at a time: the offset of the next one is known only when the one before is stored, so that none that fails can leave a hole.
// They do not wait for the commit of the one before.
type channel struct {
	name    string
	subject string

	pins    atomic.Int32 // who uses it; it can be evicted at 0
	used    atomic.Int64 // Unix nanoseconds
	charged atomic.Int64 // bytes of the ring as counted in Log.bytes
	element *list.Element

	// mu may be held while Log.mu is locked, never the other way round.
	mu      sync.RWMutex
	loaded  bool
	loading chan struct{} // closed when the load that runs ends
	filling chan struct{} // closed when the ring was filled from the stream
	failure error         // of the last load
	stored  tip           // what the stream has
	shown   Position      // what was committed and is delivered
	ring    ring
	keyed   bool // the keys of stored publications are in Log.keys
	busy    bool // an item is on its way to the stream, or waits for something before it may go
	queue   []*item
}

// tip is what the last message of a channel tells.
type tip struct {
	Position
	seq          uint64 // in the stream; 0: none
	version      uint64
	versionEpoch string
}

// item is one request to store something.
type item struct {
	ch           *channel
	publication  *protocol.Publication // nil: a removal
	record       record
	key          string
	keyTTL       time.Duration
	version      uint64
	versionEpoch string

	token uint64 // of the reply
	sent  time.Time
	tries int

	position Position
	at       time.Time
	skipped  bool
	err      error
	done     chan struct{}
}
