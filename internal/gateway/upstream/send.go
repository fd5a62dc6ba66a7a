package upstream

import "time"

// Send sends the request of a call before Do, which has to follow and goes on from there. It never waits, and does nothing if no kept connection
// is idle, or for requests that have a Body, are longer than a buffer, or go over TLS. So that of several calls all are on their way before the first
// one is waited for. What fails is told by Do. It is true if the request is sent.
func (c *Client) Send(call *Call) bool {
	call.on = nil
	if call.Body != nil || c.tls != nil || len(call.Head)+frameSize+len(call.Whole) > bufferSize || string(call.Method) == "CONNECT" {
		return false
	}
	now, end := clock(), call.end()
	if end != 0 && end <= now {
		return false
	}
	k := c.spare(now)
	if k == nil {
		return false
	}
	k.begin(end, call.Gone)
	k.headBy = now + int64(c.options.HeaderTimeout)
	if k.raw == nil || k.within(now, k.headBy) != nil {
		c.keep(k)
		return false
	}
	out := borrow()
	n := k.compose(out.b[:0], call)
	k.post(out, n+copy(out.b[n:], call.Whole))
	call.on = k
	return true
}

// Await waits at most so long until an answer to what Send has sent begins, or fails. Do follows in any case.
func (c *Client) Await(call *Call, most time.Duration) bool {
	return most > 0 && call.on.begins(most)
}
