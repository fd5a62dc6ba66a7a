package rig

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
)

// FreeAddr is a loopback address that nothing listens at. Its port is below those that the system gives away by itself (32768 and up), or a
// connection of somebody else could take it before the program that it is for.
func FreeAddr() string {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if listener, err := net.Listen("tcp", addr); err == nil {
			_ = listener.Close()
			return addr
		}
	}
	panic("no free port") // no loopback: nothing here can work
}

// Port is the part of an address behind the last colon.
func Port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
