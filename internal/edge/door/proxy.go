package door

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// proxied is a connection whose ends a balancer has told.
type proxied struct {
	*net.TCPConn
	local, remote net.Addr
}

func (p *proxied) LocalAddr() net.Addr  { return p.local }
func (p *proxied) RemoteAddr() net.Addr { return p.remote }

// maxProxy is the most bytes of a header of the PROXY protocol, with what balancers add to it.
const maxProxy = 4 << 10

var (
	errProxy = errors.New("malformed header of the PROXY protocol")
	errShort = errors.New("more bytes are needed")
)

var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// ends are the two addresses of a header; invalid if the balancer speaks for itself.
type ends struct{ remote, local netip.AddrPort }

// parseProxy reads the header that b begins with and returns its length: errShort if b ends in it, errProxy if there is none.
func parseProxy(b []byte) (ends, int, error) {
	if n := min(len(b), len(signature)); n > 0 && bytes.Equal(b[:n], signature[:n]) {
		return parseProxy2(b)
	}
	const most = 107 // of version 1
	line, _, whole := bytes.Cut(b, []byte("\r\n"))
	const word = "PROXY "
	if n := min(len(line), len(word)); string(line[:n]) != word[:n] || len(line) > most-2 {
		return ends{}, 0, errProxy
	}
	if !whole {
		return ends{}, 0, errShort
	}
	if len(line) < len(word) {
		return ends{}, 0, errProxy
	}
	e, err := parseLine(string(line[len(word):]))
	return e, len(line) + 2, err
}

func parseLine(line string) (ends, error) {
	if line == "UNKNOWN" || strings.HasPrefix(line, "UNKNOWN ") {
		return ends{}, nil
	}
	fields := strings.Split(line, " ")
	if len(fields) != 5 {
		return ends{}, errProxy
	}
	var e ends
	for i, to := range []*netip.AddrPort{&e.remote, &e.local} {
		a, err := netip.ParseAddr(fields[1+i])
		if err != nil || a.Zone() != "" || fields[0] == "TCP4" != a.Is4() || fields[0] != "TCP4" && fields[0] != "TCP6" {
			return ends{}, errProxy
		}
		port, err := strconv.ParseUint(fields[3+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != fields[3+i] {
			return ends{}, errProxy
		}
		*to = netip.AddrPortFrom(a.Unmap(), uint16(port))
	}
	return e, nil
}

func parseProxy2(b []byte) (ends, int, error) {
	const head = 16
	if len(b) < head {
		return ends{}, 0, errShort
	}
	command, family, length := b[12], b[13], int(binary.BigEndian.Uint16(b[14:]))
	if command>>4 != 2 || command&15 > 1 || head+length > maxProxy {
		return ends{}, 0, errProxy
	}
	if len(b) < head+length {
		return ends{}, 0, errShort
	}
	body := b[head : head+length]
	if command&15 == 0 { // the balancer's own connection, as to see whether we are well
		return ends{}, head + length, nil
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[family]
	if size == 0 || len(body) < 2*size+4 {
		return ends{}, 0, errProxy
	}
	address := func(i int) netip.AddrPort {
		a, _ := netip.AddrFromSlice(body[i*size : (i+1)*size])
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(body[2*size+2*i:]))
	}
	return ends{address(0), address(1)}, head + length, nil
}
