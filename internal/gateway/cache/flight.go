package cache

import "sync"

// flights are the keys of a part of the store that the upstream is being asked for.
type flights struct {
	mu    sync.Mutex
	under map[id]*flight
	_     [64]byte
}

// flight is a request to the upstream that others wait for.
type flight struct {
	store  *Store
	id     id
	done   chan struct{}
	once   sync.Once
	result result
	err    error // with failed
}

type result int

const (
	stored  result = iota // it is there now
	unkept                // it is not to be kept: everybody asks for himself
	failure               // the upstream failed
)

// join returns the flight of a key, and whether the caller is to make it.
func (s *Store) join(at id) (f *flight, leads bool) {
	fs := &s.flights[at.b%uint64(len(s.flights))]
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f = fs.under[at]; f != nil {
		return f, false
	}
	f = &flight{store: s, id: at, done: make(chan struct{}), result: unkept}
	fs.under[at] = f
	return f, true
}

// end lets those go on that wait. Only the first call does.
func (f *flight) end(r result, err error) {
	if f == nil {
		return
	}
	f.once.Do(func() {
		fs := &f.store.flights[f.id.b%uint64(len(f.store.flights))]
		fs.mu.Lock()
		delete(fs.under, f.id)
		fs.mu.Unlock()
		f.result, f.err = r, err
		close(f.done)
	})
}
