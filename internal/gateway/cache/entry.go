package cache

import (
	"strings"
	"time"
)

// entry is what is kept under a key. It is not changed once it is there.
type entry struct {
	vary []string      // of a mark: the headers by which the answers of this key differ, each kept under a key of its own
	pass time.Duration // of a mark: until then nobody waits for answers of this key, as they were not kept; of all others 0

	status         int
	fields         []field
	body           []byte
	forms          *forms // of the body; nil if the entry was never kept
	etag, modified []byte
	tags           []string
	host, path     string

	received        time.Duration // on the clock of the store
	age             time.Duration // when it was received
	lifetime        time.Duration
	whileRevalidate time.Duration
	ifError         time.Duration
	revalidate      bool // always, before it is given
	must            bool // it may not be given when it is stale
	uri             uint64
	generation      uint32
}

// field is one line of the head.
type field struct {
	key, value []byte
	again      bool // an earlier one has the same key
}

// overhead is what an entry takes beside its bytes.
const overhead = 600

func (e *entry) size() uint32 {
	n := overhead + len(e.body) + len(e.host) + len(e.path)
	for _, f := range e.fields {
		n += len(f.key) + len(f.value) + 64
	}
	for _, t := range e.tags {
		n += len(t) + 16
	}
	if e.forms != nil {
		n += e.forms.size()
	}
	return uint32(n)
}

func (e *entry) mark() bool { return e.vary != nil || e.pass != 0 }

// passing tells whether it is a mark that still says that answers are not kept; nil is not.
func (e *entry) passing(now time.Duration) bool { return e != nil && e.pass > now }

func (e *entry) ageAt(now time.Duration) time.Duration { return e.age + now - e.received }

// validated tells whether the upstream can be asked if it has changed.
func (e *entry) validated() bool { return len(e.etag) > 0 || len(e.modified) > 0 }

// below tells whether the answer is to a path with this prefix: /a is that of /a and /a/b, not of /ab; a slash at the end takes all below.
func (e *entry) below(prefix string) bool {
	if !strings.HasPrefix(e.path, prefix) {
		return false
	}
	rest := e.path[len(prefix):]
	return rest == "" || prefix == "" || prefix[len(prefix)-1] == '/' || rest[0] == '/' || rest[0] == '?'
}
