package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/centrifugal/protocol"
)

// ErrGone is returned by Read, with the position of now, when the publications asked for are not all there: the epoch is another
// one, some were removed or expired, or they lie in the future.
var ErrGone = errors.New("history: publications after the position are not kept any more")

// All is a Limit that is none.
const All = -1

// Filter is what to read.
type Filter struct {
	Since   *Position // read what follows it (before it, with Reverse); nil: from the oldest (newest)
	Limit   int       // at most so many; 0: none, only the position is asked for, as in the protocol; All (or below 0): no limit
	Reverse bool      // newest first
}

// Top is the position of the last publication of a channel that was committed. Problems: HR3050, HR3051.
func (l *Log) Top(ctx context.Context, channel string) (Position, error) {
	_, at, err := l.Read(ctx, channel, Filter{})
	return at, err
}

// Read returns publications and the position of the last one that was committed. With Since they have no hole: the first follows
// Since (or ErrGone is returned). They are shared and must not be changed. Problems: HR3050, HR3051.
func (l *Log) Read(ctx context.Context, channel string, f Filter) ([]*protocol.Publication, Position, error) {
	if err := checkChannel(channel); err != nil {
		return nil, Position{}, err
	}
	ch := l.acquire(channel)
	defer l.release(ch)
	filled := false
	for {
		o := l.options.Load()
		now := time.Now()
		ch.mu.RLock()
		if ch.shown.Epoch == "" {
			ch.mu.RUnlock()
			if err := l.await(ctx, ch); err != nil {
				return nil, Position{}, err
			}
			continue
		}
		top := ch.shown
		w, gone := f.window(top, o.Size)
		if gone || w.count == 0 || w.low > w.high {
			ch.mu.RUnlock()
			if gone {
				return nil, top, ErrGone
			}
			return nil, top, nil
		}
		if list := ch.ring.list(); ch.ring.whole || len(list) > 0 && list[0].publication.Offset <= w.low {
			found := ch.ring.between(w.low, w.high, now.Add(-o.Age))
			ch.mu.RUnlock()
			return w.result(found, top)
		}
		high := ch.stored.seq
		ch.mu.RUnlock()
		if w.low+uint64(o.Ring) > top.Offset && !filled {
			if err := l.fill(ctx, ch, o); err != nil {
				return nil, top, unread(ch.name, err)
			}
			filled = true
			continue
		}
		found, err := l.readStream(ctx, ch, w, top, high, o)
		if err != nil {
			return nil, top, unread(ch.name, err)
		}
		return w.result(found, top)
	}
}

// window is the offsets that a filter means.
type window struct {
	low, high uint64
	count     int  // of publications at most, below 0: all
	exact     bool // the one with offset low must be there
	reverse   bool
}

// window is false when what is asked for cannot be there.
func (f *Filter) window(top Position, size int) (w window, gone bool) {
	oldest := uint64(1)
	if top.Offset > uint64(size) {
		oldest = top.Offset - uint64(size) + 1
	}
	w = window{low: oldest, high: top.Offset, count: f.Limit, reverse: f.Reverse}
	if f.Since != nil {
		if f.Since.Epoch != top.Epoch || f.Since.Offset > top.Offset {
			return w, true
		}
		if f.Reverse {
			w.high = f.Since.Offset - min(f.Since.Offset, 1)
		} else {
			w.low, w.exact = f.Since.Offset+1, true
		}
		if w.exact && w.low < oldest && w.low <= w.high {
			return w, true
		}
	}
	if f.Limit > 0 && w.low <= w.high && w.high-w.low+1 > uint64(f.Limit) {
		if f.Reverse {
			w.low = w.high - uint64(f.Limit) + 1
		} else if w.exact {
			w.high = w.low + uint64(f.Limit) - 1
		}
	}
	return w, false
}

// result is what of the publications found, oldest first, answers the filter.
func (w *window) result(found []*protocol.Publication, top Position) ([]*protocol.Publication, Position, error) {
	if w.exact && (len(found) == 0 || found[0].Offset != w.low) {
		return nil, top, ErrGone
	}
	for i := len(found) - 1; i > 0; i-- { // what expired while it was read leaves a hole below what remains
		if found[i].Offset != found[i-1].Offset+1 {
			if w.exact {
				return nil, top, ErrGone
			}
			found = found[i:]
			break
		}
	}
	if w.reverse {
		slices.Reverse(found)
	}
	if w.count > 0 && len(found) > w.count {
		found = found[:w.count]
	}
	return found, top, nil
}

// await loads the channel, or waits for the load that runs.
func (l *Log) await(ctx context.Context, ch *channel) error {
	ch.mu.Lock()
	if ch.shown.Epoch != "" {
		ch.mu.Unlock()
		return nil
	}
	l.load(ch)
	loading := ch.loading
	ch.mu.Unlock()
	select {
	case <-loading:
	case <-ctx.Done():
		return ctx.Err()
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.failure != nil {
		return unread(ch.name, ch.failure)
	}
	return nil
}

// fill takes what the stream has into the ring, once for all who wait for it.
func (l *Log) fill(ctx context.Context, ch *channel, o *Options) error {
	ch.mu.Lock()
	if filling := ch.filling; filling != nil {
		ch.mu.Unlock()
		select {
		case <-filling:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	ch.filling = done
	top, high := ch.shown, ch.stored.seq
	ch.mu.Unlock()

	w := window{low: top.Offset - min(top.Offset, uint64(o.Ring)) + 1, high: top.Offset, count: All}
	entries, err := l.entries(ctx, ch, w, top, high, o)
	ch.mu.Lock()
	if err == nil && ch.shown.Epoch == top.Epoch {
		ch.ring.prepend(entries, top.Offset)
		ch.ring.whole = w.low == 1 || o.Ring >= o.Size || len(entries) < o.Ring
		ch.ring.trim(o, time.Now())
	}
	bytes := ch.ring.bytes
	ch.filling = nil
	close(done)
	ch.mu.Unlock()
	l.charge(ch, bytes)
	return err
}

// readStream reads what is older than the ring.
func (l *Log) readStream(ctx context.Context, ch *channel, w window, top Position, high uint64, o *Options) ([]*protocol.Publication, error) {
	entries, err := l.entries(ctx, ch, w, top, high, o)
	found := make([]*protocol.Publication, len(entries))
	for i := range entries {
		found[i] = entries[i].publication
	}
	return found, err
}

// entries reads the publications of a window from the stream, oldest first.
func (l *Log) entries(ctx context.Context, ch *channel, w window, top Position, high uint64, o *Options) (found []entry, err error) {
	select {
	case l.reads <- struct{}{}:
		defer func() { <-l.reads }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	from := scanFrom{subject: ch.subject, seq: 1}
	if o.Size > 2*batchMessages && w.low > 1 {
		if from.seq, err = l.seek(ctx, ch, Position{w.low, top.Epoch}, high); err != nil {
			return nil, err
		}
		from.expect = w.high - w.low + 1
	}
	now := time.Now()
	err = l.scan(ctx, from, func(m *message) (bool, error) {
		r, err := parseRecord(m.data)
		if err != nil {
			return false, err
		}
		if r.removal || r.epoch != top.Epoch || r.offset < w.low || expired(m.at, o.Age, now) {
			return true, nil
		}
		if r.offset > w.high {
			return false, nil
		}
		p, err := r.publication()
		if err != nil {
			return false, err
		}
		found = append(found, entry{p, len(r.body) + overhead, m.at})
		return r.offset < w.high && (w.reverse || w.count < 0 || len(found) < w.count), nil
	})
	return found, err
}
