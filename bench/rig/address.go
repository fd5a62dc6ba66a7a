package rig

import (
	"net"
	"strings"
)

// FreeAddr is a loopback address that nothing listens at.
func FreeAddr() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // no loopback: nothing here can work
	}
	defer listener.Close()
	return listener.Addr().String()
}

// Port is the part of an address behind the last colon.
func Port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
