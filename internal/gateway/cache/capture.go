package cache

import "io"

// capture is a body that goes to the client and is kept when it came whole.
type capture struct {
	from   io.Reader
	filler *filler // nil when it is over
	size   int64   // -1 if it is not known
	read   int64
}

// filler collects the body of an entry.
type filler struct {
	policy *policy
	entry  *entry
	put    func(*entry) // keeps it
	flight *flight
	body   []byte
	taken  int64 // of the store's filling
}

// Read implements io.Reader.
func (c *capture) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	if c.filler == nil {
		return n, err
	}
	switch {
	case n > 0 && !c.filler.add(p[:n]):
		c.drop()
	case err == io.EOF && (c.size < 0 || c.read == c.size):
		c.filler.commit()
		c.filler = nil
	case err != nil:
		c.drop()
	case c.read == c.size: // a reader with a length need not be asked for its end
		c.filler.commit()
		c.filler = nil
	}
	return n, err
}

// Close implements io.Closer.
func (c *capture) Close() error {
	c.drop()
	if closer, ok := c.from.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (c *capture) drop() {
	if c.filler != nil {
		c.filler.abandon()
		c.filler = nil
	}
}

// add is false if the body is too large, or too much is being read at the same time.
func (f *filler) add(p []byte) bool {
	if int64(len(f.body)+len(p)) > int64(f.policy.c.MaxBody) {
		return false
	}
	if need := len(f.body) + len(p); need > cap(f.body) {
		grown := max(need, min(2*cap(f.body), int(f.policy.c.MaxBody)), 4<<10)
		if !f.reserve(int64(grown)) {
			return false
		}
		f.body = append(make([]byte, 0, grown), f.body...)
	}
	f.body = append(f.body, p...)
	return true
}

// reserve counts the memory of the buffer, up to a quarter of the store's.
func (f *filler) reserve(size int64) bool {
	s := f.policy.store
	if s.filling.Add(size-f.taken) > s.most/4 {
		s.filling.Add(f.taken - size)
		return false
	}
	f.taken = size
	return true
}

func (f *filler) commit() {
	f.policy.store.filling.Add(-f.taken)
	f.entry.body = f.body
	if cap(f.body) > len(f.body)+len(f.body)/8 {
		f.entry.body = append(make([]byte, 0, len(f.body)), f.body...)
	}
	f.put(f.entry)
	f.flight.end(stored, nil)
}

func (f *filler) abandon() {
	f.policy.store.filling.Add(-f.taken)
	f.body = nil
	f.flight.end(unkept, nil)
}
