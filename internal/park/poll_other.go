//go:build !linux

package park

import "net"

// Without epoll every connection is a stream, and none of these is reached.

type poller struct{}

func newPoller(*Engine) (*poller, error)        { return &poller{}, nil }
func (p *poller) stop()                         {}
func (p *poller) watch(*Conn) error             { return errNoSocket }
func (p *poller) want(*Conn, bool) error        { return errNoSocket }
func (p *poller) release(int) (net.Conn, error) { return nil, errNoSocket }
func (c *Conn) poller() *poller                 { return c.engine.pollers[0] }
func takeOver(net.Conn) (int, error)            { return 0, errNoSocket }
func sysRead(int, []byte) (int, error)          { return 0, errNoSocket }
func sysWrite(int, []byte) (int, error)         { return 0, errNoSocket }
func sysLowWater(int, int) error                { return errNoSocket }
func sysShut(int, bool)                         {}
func sysReset(int)                              {}
func sysClose(int)                              {}
