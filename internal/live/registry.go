package live

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync"
)

// clientID names a connection; its text is a UUID of version 4. The first four bytes hide where the registry has it.
type clientID [16]byte

func (c clientID) String() string {
	b := make([]byte, 36)
	hex.Encode(b, c[:4])
	hex.Encode(b[9:], c[4:6])
	hex.Encode(b[14:], c[6:8])
	hex.Encode(b[19:], c[8:10])
	hex.Encode(b[24:], c[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b)
}

func parseClientID(s string) (c clientID, ok bool) {
	if len(s) != 36 {
		return c, false
	}
	b := append(append(append(append(append(make([]byte, 0, 32), s[:8]...), s[9:13]...), s[14:18]...), s[19:23]...), s[24:]...)
	_, err := hex.Decode(c[:], b)
	return c, err == nil
}

// registry knows the connections.
type registry struct {
	mask uint32 // hides the slots

	mu        sync.RWMutex
	slots     []*Session
	free      []uint32
	users     map[string]*Session // the latest of each user; others follow by next
	addresses map[netip.Addr]int
	count     int
	counts    [transports]int
}

func newRegistry() *registry {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return &registry{mask: binary.BigEndian.Uint32(b[:]), users: map[string]*Session{}, addresses: map[netip.Addr]int{}}
}

// add enters a connection and gives it its id; false if there are already most, or mostAddress of the same address (0: no limit).
func (r *registry) add(s *Session, address netip.Addr, most, mostAddress int) bool {
	_, _ = rand.Read(s.id[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if most > 0 && r.count >= most || mostAddress > 0 && address.IsValid() && r.addresses[address] >= mostAddress {
		return false
	}
	if n := len(r.free); n > 0 {
		s.slot = r.free[n-1]
		r.free = r.free[:n-1]
		r.slots[s.slot] = s
	} else {
		s.slot = uint32(len(r.slots))
		r.slots = append(r.slots, s)
	}
	binary.BigEndian.PutUint32(s.id[:], s.slot^r.mask)
	s.id[6], s.id[8] = s.id[6]&0x0f|0x40, s.id[8]&0x3f|0x80
	r.count++
	r.counts[s.transport]++
	if address.IsValid() {
		r.addresses[address]++
	}
	return true
}

// name enters the user of a connection; false if the user has already most.
func (r *registry) name(s *Session, user string, most int) bool {
	if user == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for other := r.users[user]; other != nil && most > 0; other = other.next {
		if n++; n >= most {
			return false
		}
	}
	s.next = r.users[user]
	r.users[user] = s
	return true
}

// remove forgets a connection; named says that it has a user by that name.
func (r *registry) remove(s *Session, address netip.Addr, user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots[s.slot] = nil
	r.free = append(r.free, s.slot)
	r.count--
	r.counts[s.transport]--
	if address.IsValid() {
		if r.addresses[address]--; r.addresses[address] <= 0 {
			delete(r.addresses, address)
		}
	}
	if user == "" {
		return
	}
	if r.users[user] == s {
		if r.users[user] = s.next; s.next == nil {
			delete(r.users, user)
		}
		return
	}
	for other := r.users[user]; other != nil; other = other.next {
		if other.next == s {
			other.next = s.next
			return
		}
	}
}

// find is a connection by its id, nil if there is none.
func (r *registry) find(id clientID) *Session {
	slot := binary.BigEndian.Uint32(id[:]) ^ r.mask
	r.mu.RLock()
	defer r.mu.RUnlock()
	if uint64(slot) >= uint64(len(r.slots)) || r.slots[slot] == nil || r.slots[slot].id != id {
		return nil
	}
	return r.slots[slot]
}

// of returns the connections of a user.
func (r *registry) of(user string) (all []*Session) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for s := r.users[user]; s != nil; s = s.next {
		all = append(all, s)
	}
	return all
}

// all returns all connections.
func (r *registry) all() []*Session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Session, 0, r.count)
	for _, s := range r.slots {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

func (r *registry) transports() [transports]int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.counts
}
