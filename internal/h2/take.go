package h2

import (
	"golang.org/x/net/http2"
)

// take does what a frame asks for. Its error is a fault of the client, of a stream or of the connection.
func (c *conn) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHead(f)
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.SettingsFrame:
		return c.takeSettings(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := f.(type) {
	case *http2.WindowUpdateFrame:
		return c.takeWindow(f)
	case *http2.PingFrame:
		switch {
		case !f.IsAck():
			c.ping(f.Data, true)
			c.kick()
		case f.Data == parting && c.leaving && !c.leftover:
			go c.left()
		}
	case *http2.RSTStreamFrame:
		s := c.streams[f.StreamID]
		if s == nil {
			return c.idleFault(f.StreamID)
		}
		s.gone()
		s.drop()
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
	}
	return nil
}

// takeHead begins a stream, or is the trailers of one.
func (c *conn) takeHead(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		return s.takeTrailers(f)
	}
	if id <= c.last {
		if there, _ := c.closed.find(id); there {
			return http2.ConnectionError(http2.ErrCodeStreamClosed)
		}
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if c.leftover {
		return nil
	}
	fault := func(code http2.ErrCode) error { return http2.StreamError{StreamID: id, Code: code} }
	switch {
	case f.HasPriority() && f.Priority.StreamDep == id:
		return fault(http2.ErrCodeProtocol)
	case len(c.streams) >= c.server.options.MaxStreams, c.running >= c.server.options.MaxStreams:
		return fault(http2.ErrCodeRefusedStream)
	}
	s := newStream(c, id)
	if f.Truncated {
		c.last = id
		s.tooLong(f.StreamEnded())
		c.kick()
		return nil
	}
	if !s.request(f) {
		return fault(http2.ErrCodeProtocol)
	}
	c.last = id
	c.streams[id] = s
	c.running++
	go s.serve()
	return nil
}

// takeData is a piece of a body.
func (c *conn) takeData(f *http2.DataFrame) error {
	n := int(f.Length)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.receive < n {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	c.receive -= n
	s := c.streams[f.StreamID]
	if s != nil && !s.received {
		return s.takeData(f)
	}
	c.giveBack(n)
	c.kick()
	if err := c.idleFault(f.StreamID); err != nil {
		return err
	}
	if _, ours := c.closed.find(f.StreamID); ours || f.StreamID > c.last {
		return nil
	}
	return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
}
