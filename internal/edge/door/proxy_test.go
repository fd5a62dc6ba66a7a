package door

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

var errTimeout = os.ErrDeadlineExceeded

// version2 writes a header of version 2.
func version2(from, to string, more ...byte) []byte {
	b := append(bytes.Clone(signature), 0x21, 0x11)
	a, z := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	if a.Addr().Is6() {
		b[13] = 0x21
	}
	body := append(a.Addr().AsSlice(), z.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, a.Port())
	body = binary.BigEndian.AppendUint16(body, z.Port())
	body = append(body, more...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\nGET":                  "192.0.2.1:5",
		"PROXY TCP6 2001:db8::1 2001:db8::2 5 80\r\n":                    "[2001:db8::1]:5",
		"PROXY UNKNOWN\r\n":                                              "invalid AddrPort",
		"PROXY UNKNOWN whatever there is\r\n":                            "invalid AddrPort",
		string(version2("192.0.2.1:5", "198.51.100.2:80")):               "192.0.2.1:5",
		string(version2("[2001:db8::1]:5", "[::1]:80", 1, 0, 1, 7)):      "[2001:db8::1]:5",
		string(signature) + "\x20\x00\x00\x00":                           "invalid AddrPort",
		"":                                                               errShort.Error(),
		"PROX":                                                           errShort.Error(),
		"PROXY TCP4 192.0.2.1 198.51.100.2 5 80":                         errShort.Error(),
		string(version2("192.0.2.1:5", "198.51.100.2:80")[:20]):          errShort.Error(),
		"GET / HTTP/1.1\r\n":                                             errProxy.Error(),
		"PROXY\r\n":                                                      errProxy.Error(),
		"PROXY TCP4 192.0.2.1 198.51.100.2 5\r\n":                        errProxy.Error(),
		"PROXY TCP4 192.0.2.1 198.51.100.2 05 80\r\n":                    errProxy.Error(),
		"PROXY TCP4 192.0.2.1 198.51.100.2 5 65536\r\n":                  errProxy.Error(),
		"PROXY TCP4 2001:db8::1 198.51.100.2 5 80\r\n":                   errProxy.Error(),
		"PROXY TCP6 192.0.2.1 198.51.100.2 5 80\r\n":                     errProxy.Error(),
		"PROXY TCP4 192.0.2.1  198.51.100.2 5 80\r\n":                    errProxy.Error(),
		"PROXY UNKNOWN" + strings.Repeat(" ", 200):                       errProxy.Error(),
		string(signature) + "\x11\x11\x00\x00":                           errProxy.Error(),
		string(signature) + "\x22\x11\x00\x00":                           errProxy.Error(),
		string(signature) + "\x21\x31\x00\x0c" + strings.Repeat("a", 12): errProxy.Error(),
		string(signature) + "\x21\x11\x00\x04aaaa":                       errProxy.Error(),
		string(signature) + "\x21\x11\xff\xff":                           errProxy.Error(),
	} {
		e, n, err := parseProxy([]byte(text))
		got := e.remote.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if err == nil && strings.HasSuffix(text, "GET") && n != len(text)-3 {
			t.Errorf("%q: %d bytes", text, n)
		}
	}
}

func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\n"))
	f.Add([]byte("PROXY\r\n"))
	f.Add(version2("192.0.2.1:5", "198.51.100.2:80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, n, err := parseProxy(b)
		if err == nil && (n <= 0 || n > len(b) || n > maxProxy) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if err != nil && e != (ends{}) {
			t.Fatal("ends of a refused header")
		}
		if err != errShort {
			return
		}
		for more := 0; more < 3; more++ { // an answer may change by more bytes only, never by the same again
			if _, _, again := parseProxy(b); again != errShort {
				t.Fatal("it is not the same twice")
			}
		}
	})
}

func TestProxyProtocol(t *testing.T) {
	r := newRig(t, func(c *config.Config, r *rig) {
		all(c, r)
		c.Server.ProxyProtocol = []string{"127.0.0.1"}
	})
	for _, header := range []string{"PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\n", string(version2("192.0.2.1:5", "198.51.100.2:80", 4, 0, 1, 0))} {
		for _, secure := range []bool{false, true} {
			address := r.Addr()
			if secure {
				address = r.SecureAddr()
			}
			c, err := net.Dial("tcp", address.String())
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			for i := range len(header) { // byte by byte
				if _, err := io.WriteString(c, header[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
			if secure {
				c = tls.Client(c, &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost"})
			}
			fmt.Fprintf(c, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), `"client":"192.0.2.1"`) {
				t.Errorf("secure %v: %s", secure, body)
			}
			c.Close()
		}
	}
	if resp, err := r.client("plain").Get(r.url("plain", "/hello")); err == nil {
		t.Errorf("a balancer without header got %d", resp.StatusCode)
	}
}

// Who is no balancer may not tell addresses.
func TestProxyFromStranger(t *testing.T) {
	r := newRig(t, func(c *config.Config, r *rig) {
		all(c, r)
		c.Server.ProxyProtocol = []string{"192.0.2.0/24"}
	})
	for _, header := range []string{"PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\n", string(version2("192.0.2.1:5", "198.51.100.2:80"))} {
		c, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "%sGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", header)
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && resp.StatusCode != 400 {
			t.Errorf("%q: %d", header, resp.StatusCode)
		}
		c.Close()
	}
	if resp, _ := r.get("h2c", "/hello"); resp.StatusCode != 200 {
		t.Error(resp.StatusCode)
	}
}
