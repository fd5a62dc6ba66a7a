package door

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What HTTP/1 could not carry, or would take for something else, does not reach a route.
func TestMalformed(t *testing.T) {
	r := newRig(t, nil)
	for name, fields := range map[string][]hpack.HeaderField{
		"a space in the path":        {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello HTTP/1.1"}, {Name: ":authority", Value: "a"}},
		"a line in the path":         {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello\r\nX: y"}, {Name: ":authority", Value: "a"}},
		"a fragment":                 {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello#x"}, {Name: ":authority", Value: "a"}},
		"a path without slash":       {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "hello"}, {Name: ":authority", Value: "a"}},
		"a method that is two words": {{Name: ":method", Value: "GET /x"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a"}},
		"a user in the authority":    {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "u@a"}},
		"a path in the authority":    {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a/b"}},
		"a space in the authority":   {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a b"}},
		"another host":               {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a"}, {Name: "host", Value: "b"}},
		"CONNECT":                    {{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: "a:443"}},
		"TRACE":                      {{Name: ":method", Value: "TRACE"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a"}},
		"a header of connections":    {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a"}, {Name: "transfer-encoding", Value: "chunked"}},
		"an upper case name":         {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a"}, {Name: "X-A", Value: "b"}},
		"a line in a value":          {{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/hello"}, {Name: ":authority", Value: "a"}, {Name: "x-a", Value: "b\r\nc: d"}},
	} {
		_, f := r.frames()
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		if fields[0].Value != "CONNECT" {
			_ = e.WriteField(hpack.HeaderField{Name: ":scheme", Value: "https"})
		}
		for _, field := range fields {
			_ = e.WriteField(field)
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: true})
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	reading:
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(name, err)
			}
			switch frame := frame.(type) {
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				break reading
			case *http2.MetaHeadersFrame:
				want := "400"
				if name == "CONNECT" || name == "TRACE" {
					want = "501"
				}
				if status := frame.PseudoValue("status"); status != want {
					t.Errorf("%s: %s", name, status)
				}
				break reading
			}
		}
	}
}
