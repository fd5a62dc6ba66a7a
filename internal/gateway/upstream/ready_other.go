//go:build !unix

package upstream

import (
	"net"
	"time"
)

// readiness is nothing where there are no bare sockets: conn.raw stays nil, and what a kept connection has in store is seen when it is read.
type readiness struct{}

func (k *conn) attach(net.Conn)                    {}
func (k *conn) exchange(*buffer, int, *Call) error { panic("no bare socket") }
func (k *conn) post(*buffer, int)                  { panic("no bare socket") }
func (k *conn) begins(time.Duration) bool          { panic("no bare socket") }
func (k *conn) answered(*Call) error               { panic("no bare socket") }
func (k *conn) await() error                       { panic("no bare socket") }
func (k *conn) quiet() bool                        { return true }
func (k *conn) take() (some bool, err error)       { return false, nil }
