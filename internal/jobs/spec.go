package jobs

import (
	"fmt"
	"time"
	"unique"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/headrace/headrace/internal/identity"
)

// ID names a job: a ULID, so that ids sort by time of creation.
type ID = ulid.ULID

// Policy is what most jobs of a function share: how to retry and how long to wait. Equal policies are stored once.
type Policy struct {
	Retries      int           // failures that are followed by another attempt
	Backoff      time.Duration // delay after the first failure; doubles with each
	BackoffMax   time.Duration // largest delay
	Timeout      time.Duration // of one run; 0 is none
	QueueTimeout time.Duration // from ready to running; 0 is none
	KeyLimit     int           // runs at once per key; 0 is no limit
	Newest       bool          // a unique job replaces the pending one, instead of giving way to it
	Continue     bool          // a job that comes after others runs even if one of them did not succeed
}

// Defaults of a policy.
const (
	DefaultRetries    = 3
	DefaultBackoff    = time.Second
	DefaultBackoffMax = 10 * time.Minute
)

// Spec is everything about a job that its creation fixed.
type Spec struct {
	ID       ID
	Function string
	Queue    string
	Priority Priority
	Args     []byte // JSON object; nil in memory if it was left in the journal to save memory
	Created  time.Time
	RunAt    time.Time // zero: at once
	Expires  time.Time // zero: never
	Policy   unique.Handle[Policy]
	*Rare
}

// Rare holds what most jobs do not have, so that a plain job stays small in memory.
type Rare struct {
	Key         string
	Unique      string // function and unique value, joined
	Idempotency string
	BodyHash    uint64 // of function, arguments and options, to tell a repeated request from another one under the same key
	Trace       string
	Cron        string // name of the function whose schedule created it
	Tags        []string
	Parent      ID
	After       []ID
	Caller      unique.Handle[identity.Caller] // who asked for it, on a route that knows; the zero handle is nobody. Jobs of one caller share it
}

var (
	noRare Rare
	nobody unique.Handle[identity.Caller]
)

// called notes who asked for the job.
func (r *Rare) called(c identity.Caller) {
	if c != (identity.Caller{}) {
		r.Caller = unique.Make(c)
	}
}

// caller is who asked for the job.
func (s *Spec) caller() (c identity.Caller) {
	if s.Caller != nobody {
		c = s.Caller.Value()
	}
	return c
}

// held is how many bytes of the job the limit on memory counts: its arguments and the claims of its caller.
func (s *Spec) held() int64 { return int64(len(s.Args) + len(s.caller().Claims)) }

// Numbers of the fields of a spec on the wire. They are never reused.
const (
	fieldID = iota + 1
	fieldFunction
	fieldQueue
	fieldPriority
	fieldArgs
	fieldCreated
	fieldRunAt
	fieldExpires
	fieldRetries
	fieldBackoff
	fieldBackoffMax
	fieldTimeout
	fieldQueueTimeout
	fieldKeyLimit
	fieldNewest
	fieldContinue
	fieldKey
	fieldUnique
	fieldIdempotency
	fieldBodyHash
	fieldTrace
	fieldCron
	fieldTag
	fieldParent
	fieldAfter
	fieldUser
	fieldMethod
	fieldClaims
)

// append writes the spec as protobuf fields, leaving out what is zero.
func (s *Spec) append(b []byte) []byte {
	b = appendBytes(b, fieldID, s.ID[:])
	b = appendString(b, fieldFunction, s.Function)
	b = appendString(b, fieldQueue, s.Queue)
	b = appendUint(b, fieldPriority, uint64(s.Priority))
	b = appendBytes(b, fieldArgs, s.Args)
	b = appendTime(b, fieldCreated, s.Created)
	b = appendTime(b, fieldRunAt, s.RunAt)
	b = appendTime(b, fieldExpires, s.Expires)
	p := s.Policy.Value()
	b = appendUint(b, fieldRetries, uint64(p.Retries))
	b = appendUint(b, fieldBackoff, uint64(p.Backoff))
	b = appendUint(b, fieldBackoffMax, uint64(p.BackoffMax))
	b = appendUint(b, fieldTimeout, uint64(p.Timeout))
	b = appendUint(b, fieldQueueTimeout, uint64(p.QueueTimeout))
	b = appendUint(b, fieldKeyLimit, uint64(p.KeyLimit))
	b = appendBool(b, fieldNewest, p.Newest)
	b = appendBool(b, fieldContinue, p.Continue)
	if s.Rare == &noRare {
		return b
	}
	b = appendString(b, fieldKey, s.Key)
	b = appendString(b, fieldUnique, s.Unique)
	b = appendString(b, fieldIdempotency, s.Idempotency)
	b = appendUint(b, fieldBodyHash, s.BodyHash)
	b = appendString(b, fieldTrace, s.Trace)
	b = appendString(b, fieldCron, s.Cron)
	for _, tag := range s.Tags {
		b = appendString(b, fieldTag, tag)
	}
	if s.Parent != (ID{}) {
		b = appendBytes(b, fieldParent, s.Parent[:])
	}
	for _, id := range s.After {
		b = appendBytes(b, fieldAfter, id[:])
	}
	c := s.caller()
	b = appendString(b, fieldUser, c.User)
	b = appendString(b, fieldMethod, c.Method)
	return appendString(b, fieldClaims, c.Claims)
}

// parseSpec reads what append wrote. Unknown fields are skipped, so that an older version can read a newer one's journal where the
// format version allows it. Bytes are copied.
func parseSpec(b []byte) (*Spec, error) {
	s := &Spec{}
	var rare Rare
	var p Policy
	var c identity.Caller
	err := eachField(b, func(num protowire.Number, v uint64, raw []byte) error {
		switch num {
		case fieldID:
			return setID(&s.ID, raw)
		case fieldFunction:
			s.Function = intern(raw)
		case fieldQueue:
			s.Queue = intern(raw)
		case fieldPriority:
			if v >= priorities {
				return fmt.Errorf("priority %d", v)
			}
			s.Priority = Priority(v)
		case fieldArgs:
			s.Args = append([]byte{}, raw...)
		case fieldCreated:
			s.Created = fromNanos(v)
		case fieldRunAt:
			s.RunAt = fromNanos(v)
		case fieldExpires:
			s.Expires = fromNanos(v)
		case fieldRetries:
			p.Retries = int(v)
		case fieldBackoff:
			p.Backoff = time.Duration(v)
		case fieldBackoffMax:
			p.BackoffMax = time.Duration(v)
		case fieldTimeout:
			p.Timeout = time.Duration(v)
		case fieldQueueTimeout:
			p.QueueTimeout = time.Duration(v)
		case fieldKeyLimit:
			p.KeyLimit = int(v)
		case fieldNewest:
			p.Newest = v != 0
		case fieldContinue:
			p.Continue = v != 0
		case fieldKey:
			rare.Key = string(raw)
		case fieldUnique:
			rare.Unique = string(raw)
		case fieldIdempotency:
			rare.Idempotency = string(raw)
		case fieldBodyHash:
			rare.BodyHash = v
		case fieldTrace:
			rare.Trace = string(raw)
		case fieldCron:
			rare.Cron = string(raw)
		case fieldTag:
			rare.Tags = append(rare.Tags, string(raw))
		case fieldParent:
			return setID(&rare.Parent, raw)
		case fieldAfter:
			var id ID
			rare.After = append(rare.After, id)
			return setID(&rare.After[len(rare.After)-1], raw)
		case fieldUser:
			c.User = string(raw)
		case fieldMethod:
			c.Method = string(raw)
		case fieldClaims:
			c.Claims = string(raw)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.Policy = unique.Make(p)
	rare.called(c)
	s.setRare(rare)
	return s, nil
}

// setRare keeps the rare part only if there is one.
func (s *Spec) setRare(r Rare) {
	s.Rare = &noRare
	if r.Key != "" || r.Unique != "" || r.Idempotency != "" || r.Trace != "" || r.Cron != "" || r.Tags != nil || r.After != nil || r.Parent != (ID{}) || r.Caller != nobody {
		kept := r // r itself does not leave the stack
		s.Rare = &kept
	}
}
