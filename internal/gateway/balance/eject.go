package balance

import (
	"fmt"
	"time"
)

const longestEjection = 10 // times eject.for

// eject leaves out a target after failures in a row.
func (u *Upstream) eject(t *Target, failures, status int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if t.ejected || t.left {
		return
	}
	if time.Since(t.returned) > t.lasts {
		t.times = 0
	}
	t.times++
	t.lasts = u.cfg.Eject.For * time.Duration(min(t.times, longestEjection))
	why := fmt.Sprintf("%d requests in a row failed", failures)
	if status != 0 {
		why += fmt.Sprintf(", the last with status %d", status)
	}
	u.change(t, why, func() { t.ejected = true })
	time.AfterFunc(t.lasts, func() { u.readmit(t) })
}

// readmit takes a target back, with a share that grows. One failure more leaves it out again.
func (u *Upstream) readmit(t *Target) {
	u.mu.Lock()
	defer u.mu.Unlock()
	t.returned = time.Now()
	t.fails.Store(int32(u.cfg.Eject.Failures - 1))
	t.back()
	u.change(t, "", func() { t.ejected = false })
}

// opened says that the breaker has opened.
func (u *Upstream) opened() {
	u.record.opened.Add(1)
	u.set.log.Warn("breaker is open, requests are refused", "upstream", u.name, "for", u.cfg.Breaker.Open)
}
