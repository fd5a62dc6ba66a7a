package live

import (
	"math"
	"time"

	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
)

// checkGrace is how long a publication that was committed may take to its subscribers. It is not about slow clients: what waits for one has reached
// it.
const checkGrace = time.Second

// checking compares from time to time what clients have with what the history has. Fan-out tells of gaps itself when something follows them; this
// finds those that nothing follows.
func (l *Live) checking() {
	next := time.NewTimer(checkGrace)
	defer next.Stop()
	last := time.Now()
	var late []behind
	for {
		select {
		case <-l.running.Done():
			return
		case <-l.changed:
		case <-next.C:
			l.catch(late)
			late = late[:0]
			if every := l.options.Load().PositionCheck; every > 0 && time.Since(last) >= every {
				late, last = l.lookBehind(late), time.Now()
			}
		}
		wait := time.Duration(math.MaxInt64) // for a change of the options
		switch every := l.options.Load().PositionCheck; {
		case len(late) > 0:
			wait = checkGrace
		case every > 0:
			wait = max(every-time.Since(last), checkGrace)
		}
		next.Reset(wait)
	}
}

// behind is a channel of which some client does not have all up to a position.
type behind struct {
	channel *fanout.Channel
	top     history.Position
}

// lookBehind finds the channels whose clients may have missed something.
func (l *Live) lookBehind(late []behind) []behind {
	l.hub.Each(func(c *fanout.Channel) {
		n, _ := l.options.Load().find(c.Name)
		if n == nil || n.log == nil || l.running.Err() != nil {
			return
		}
		_, highest, any := positions(c)
		if !any {
			return
		}
		top, known, err := n.log.Check(c.Name)
		switch {
		case err != nil:
			l.Log.Warn("position of a channel cannot be checked", "channel", c.Name, "error", err)
			return
		case !known:
			return
		case highest > top.Offset: // it has begun anew on another node
			l.metrics.gaps.Add(uint64(c.Count()))
			l.restart(c)
			return
		}
		if lowest, _, any := positions(c); any && lowest < top.Offset {
			late = append(late, behind{c, top})
		}
	})
	return late
}

// catch makes those clients recover that still do not have what their channel had when it was looked at.
func (l *Live) catch(late []behind) {
	for _, b := range late {
		n, _ := l.options.Load().find(b.channel.Name)
		if n == nil || n.log == nil {
			continue
		}
		if top, _, err := n.log.Check(b.channel.Name); err != nil || top.Epoch != b.top.Epoch {
			continue
		}
		missed := 0
		b.channel.Each(func(sub *fanout.Subscription) bool {
			s := sub.Receiver.(*Session)
			s.mu.Lock()
			defer s.mu.Unlock()
			if at, placed := sub.Position(); placed && at < b.top.Offset && sub.Flags()&fanout.Positioned != 0 && !sub.Ended {
				missed++
				s.insufficient(sub)
			}
			return true
		})
		if missed > 0 {
			l.metrics.gaps.Add(uint64(missed))
			l.Log.Warn("clients missed publications and recover", "channel", b.channel.Name, "clients", missed, "offset", b.top.Offset)
		}
	}
}

// positions are the lowest and highest offset that the clients have that keep their place; false if there are none.
func positions(c *fanout.Channel) (lowest, highest uint64, any bool) {
	c.Each(func(sub *fanout.Subscription) bool {
		if sub.Flags()&fanout.Positioned == 0 {
			return true
		}
		s := sub.Receiver.(*Session)
		s.mu.Lock()
		at, placed := sub.Position()
		ended := sub.Ended
		s.mu.Unlock()
		if placed && !ended {
			if !any || at < lowest {
				lowest = at
			}
			highest, any = max(highest, at), true
		}
		return true
	})
	return lowest, highest, any
}
