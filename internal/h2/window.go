package h2

import (
	"math"

	"golang.org/x/net/http2"
)

const (
	defaultWindow = 65535
	minFrame      = 16 << 10
)

// windows are what may be sent and received, of the connection.
type windows struct {
	send    int64 // bytes that the client takes
	initial int64 // send of a new stream
	frame   int   // longest frame that the client takes
	receive int   // bytes that the client may send
	owed    int   // bytes that were read and are not given back yet
}

// What follows is called with c.mu held.

// giveBack lets the client send as much again as was read, of the connection.
func (c *conn) giveBack(n int) {
	if c.owed += n; c.owed < connWindow/2 {
		return
	}
	c.windowUpdate(0, c.owed)
	c.receive += c.owed
	c.owed = 0
}

// takeWindow is a WINDOW_UPDATE.
func (c *conn) takeWindow(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.send += int64(f.Increment); c.send > math.MaxInt32 {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.tell()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return c.idleFault(f.StreamID)
	}
	if s.send += int64(f.Increment); s.send > math.MaxInt32 {
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
	}
	c.tell()
	return nil
}

// idleFault is the fault of a frame for a stream that was not opened; none if it is over, or was opened too late.
func (c *conn) idleFault(id uint32) error {
	if id%2 == 0 || id > c.last && !c.leftover {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

// takeSettings is a SETTINGS of the client. It takes the lock itself.
func (c *conn) takeSettings(f *http2.SettingsFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.IsAck() {
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.encoder.SetMaxDynamicTableSize(min(s.Val, tableSize))
		case http2.SettingMaxFrameSize:
			c.windows.frame = min(int(s.Val), 64<<10)
		case http2.SettingInitialWindowSize:
			by := int64(s.Val) - c.initial
			c.initial += by
			for _, other := range c.streams {
				if other.send += by; other.send > math.MaxInt32 {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.frame(http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
	c.tell()
	c.kick()
	return nil
}
