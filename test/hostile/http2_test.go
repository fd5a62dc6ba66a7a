package hostile

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream is what a client of HTTP/2 sends on one stream.
type stream struct {
	name   string
	want   string      // deny: an error, and the upstream has seen nothing whole; a number: so many requests at the upstream
	head   [][2]string // in place of the ordinary pseudo headers those of the same name; a value of - leaves one out
	data   []string    // frames of the body; nil ends the stream with the head
	trail  [][2]string
	checks []string
}

var streams = []stream{
	{"plain", "1", nil, nil, nil, nil},
	{"body", "1", [][2]string{{":method", "POST"}, {"content-length", "5"}}, []string{"hello"}, nil, []string{"hello", "Content-Length: 5"}},
	{"body without length", "1", [][2]string{{":method", "POST"}}, []string{"hel", "lo"}, nil, []string{"hello"}},
	{"CRLF in a value", "deny", [][2]string{{"x", "a\r\nTransfer-Encoding: chunked"}}, nil, nil, nil},
	{"LF in a value", "deny", [][2]string{{"x", "a\nTransfer-Encoding: chunked"}}, nil, nil, nil},
	{"NUL in a value", "deny", [][2]string{{"x", "a\x00b"}}, nil, nil, nil},
	{"CRLF in a name", "deny", [][2]string{{"x: y\r\nz", "a"}}, nil, nil, nil},
	{"colon in a name", "deny", [][2]string{{"transfer-encoding: chunked", "a"}}, nil, nil, nil},
	{"space in a name", "deny", [][2]string{{"transfer-encoding ", "chunked"}}, nil, nil, nil},
	{"empty name", "deny", [][2]string{{"", "a"}}, nil, nil, nil},
	{"capital letters in a name", "deny", [][2]string{{"X-Large", "a"}}, nil, nil, nil},
	{"transfer-encoding", "deny", [][2]string{{":method", "POST"}, {"transfer-encoding", "chunked"}}, []string{"0\r\n\r\nGET /stolen/ID HTTP/1.1\r\nHost: x.test\r\n\r\n"}, nil, nil},
	{"connection", "deny", [][2]string{{"connection", "close"}}, nil, nil, nil},
	{"connection that names a header", "deny", [][2]string{{"connection", "x-forwarded-for"}}, nil, nil, nil},
	{"keep-alive", "deny", [][2]string{{"keep-alive", "5"}}, nil, nil, nil},
	{"proxy-connection", "deny", [][2]string{{"proxy-connection", "close"}}, nil, nil, nil},
	{"upgrade", "deny", [][2]string{{"upgrade", "websocket"}}, nil, nil, nil},
	{"te that is not trailers", "deny", [][2]string{{"te", "gzip"}}, nil, nil, nil},
	{"te", "1", [][2]string{{"te", "trailers"}}, nil, nil, nil},
	{"length shorter than the body", "", [][2]string{{":method", "POST"}, {"content-length", "0"}}, []string{"GET /stolen/ID HTTP/1.1\r\nHost: x.test\r\n\r\n"}, nil, nil},
	{"length shorter by some bytes", "deny", [][2]string{{":method", "POST"}, {"content-length", "3"}}, []string{"hello"}, nil, nil},
	{"length longer than the body", "deny", [][2]string{{":method", "POST"}, {"content-length", "50"}}, []string{"hello"}, nil, nil},
	{"length and no body", "deny", [][2]string{{":method", "POST"}, {"content-length", "5"}}, nil, nil, nil},
	{"length with a sign", "deny", [][2]string{{":method", "POST"}, {"content-length", "+5"}}, []string{"hello"}, nil, nil},
	{"length of words", "deny", [][2]string{{":method", "POST"}, {"content-length", "five"}}, []string{"hello"}, nil, nil},
	{"two lengths", "deny", [][2]string{{":method", "POST"}, {"content-length", "5"}, {"content-length", "0"}}, []string{"hello"}, nil, nil},
	{"list of lengths", "deny", [][2]string{{":method", "POST"}, {"content-length", "5, 0"}}, []string{"hello"}, nil, nil},
	{"space in the path", "deny", [][2]string{{":path", "/p/ID HTTP/1.1"}}, nil, nil, nil},
	{"request in the path", "deny", [][2]string{{":path", "/p/ID HTTP/1.1\r\nHost: x.test\r\n\r\nGET /stolen/ID"}}, nil, nil, nil},
	{"tab in the path", "deny", [][2]string{{":path", "/p/ID\tx"}}, nil, nil, nil},
	{"fragment in the path", "deny", [][2]string{{":path", "/p/ID#x"}}, nil, nil, nil},
	{"relative path", "deny", [][2]string{{":path", "p/ID"}}, nil, nil, nil},
	{"absolute path", "deny", [][2]string{{":path", "http://y.test/p/ID"}}, nil, nil, nil},
	{"empty path", "deny", [][2]string{{":path", ""}}, nil, nil, nil},
	{"no path", "deny", [][2]string{{":path", "-"}}, nil, nil, nil},
	{"two paths", "deny", [][2]string{{":path", "/p/ID"}, {":path", "/stolen/ID"}}, nil, nil, nil},
	{"asterisk", "deny", [][2]string{{":path", "*"}}, nil, nil, nil},
	{"path with two slashes", "1", [][2]string{{":path", "//p/ID"}}, nil, nil, []string{"GET /p/"}},
	{"path around a policy", "deny", [][2]string{{":path", "/x/..%2fadmin/ID"}}, nil, nil, nil},
	{"path with parameters around a policy", "deny", [][2]string{{":path", "/admin;x/ID"}}, nil, nil, nil},
	{"no method", "deny", [][2]string{{":method", "-"}}, nil, nil, nil},
	{"empty method", "deny", [][2]string{{":method", ""}}, nil, nil, nil},
	{"two methods", "deny", [][2]string{{":method", "GET"}, {":method", "POST"}}, nil, nil, nil},
	{"request in the method", "deny", [][2]string{{":method", "GET /stolen/ID HTTP/1.1\r\nHost: x.test\r\n\r\nGET"}}, nil, nil, nil},
	{"space in the method", "deny", [][2]string{{":method", "GET /stolen/ID"}}, nil, nil, nil},
	{"connect", "deny", [][2]string{{":method", "CONNECT"}, {":path", "-"}, {":scheme", "-"}}, nil, nil, nil},
	{"extended connect", "deny", [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}}, nil, nil, nil},
	{"trace", "deny", [][2]string{{":method", "TRACE"}}, nil, nil, nil},
	{"no scheme", "deny", [][2]string{{":scheme", "-"}}, nil, nil, nil},
	{"address in the scheme", "deny", [][2]string{{":scheme", "http://y.test/stolen?"}}, nil, nil, nil},
	{"no authority", "deny", [][2]string{{":authority", "-"}}, nil, nil, nil},
	{"host instead of authority", "1", [][2]string{{":authority", "-"}, {"host", "x.test"}}, nil, nil, []string{"Host: x.test"}},
	{"host that is another", "deny", [][2]string{{"host", "y.test"}}, nil, nil, nil},
	{"host of a policy", "deny", [][2]string{{":authority", "secret.example.com."}}, nil, nil, nil},
	{"user in the authority", "deny", [][2]string{{":authority", "y@x.test"}}, nil, nil, nil},
	{"CRLF in the authority", "deny", [][2]string{{":authority", "x.test\r\nX: y"}}, nil, nil, nil},
	{"space in the authority", "deny", [][2]string{{":authority", "x.test y"}}, nil, nil, nil},
	{"path in the authority", "deny", [][2]string{{":authority", "x.test/y"}}, nil, nil, nil},
	{"two authorities", "deny", [][2]string{{":authority", "x.test"}, {":authority", "y.test"}}, nil, nil, nil},
	{"unknown pseudo header", "deny", [][2]string{{":x", "y"}}, nil, nil, nil},
	{"pseudo header of answers", "deny", [][2]string{{":status", "200"}}, nil, nil, nil},
	{"pseudo header behind others", "deny", [][2]string{{"x", "y"}, {"late:path", "/stolen/ID"}}, nil, nil, nil},
	{"forged claims", "1", [][2]string{{":path", "/claims/ID"}, {"x-user", "root"}, {"x_user", "root"}}, nil, nil, []string{"!root"}},
	{"forged address", "1", [][2]string{{"x-forwarded-for", "6.6.6.6"}, {"x_forwarded_for", "6.6.6.6"}, {"forwarded", "for=6.6.6.6"}, {"x-original-url", "6.6.6.6"}}, nil, nil, []string{"!6.6.6.6"}},
	{"trailers", "1", [][2]string{{":method", "POST"}, {"trailer", "x-sum"}}, []string{"hello"}, [][2]string{{"x-sum", "1"}}, []string{"hello"}},
	{"trailer content-length", "", [][2]string{{":method", "POST"}}, []string{"hello"}, [][2]string{{"content-length", "9"}}, []string{"!Length: 9"}},
	{"trailer transfer-encoding", "", [][2]string{{":method", "POST"}}, []string{"hello"}, [][2]string{{"transfer-encoding", "chunked"}}, nil},
	{"trailer x-user", "", [][2]string{{":method", "POST"}}, []string{"hello"}, [][2]string{{"x-user", "root"}}, []string{"!root"}},
	{"trailer with CRLF", "deny", [][2]string{{":method", "POST"}}, []string{"hello"}, [][2]string{{"x", "a\r\n\r\nGET /stolen/ID HTTP/1.1"}}, nil},
	{"trailer that is a pseudo header", "deny", [][2]string{{":method", "POST"}}, []string{"hello"}, [][2]string{{":path", "/stolen/ID"}}, nil},
	{"expect", "1", [][2]string{{":method", "POST"}, {"expect", "100-continue"}}, []string{"hello"}, nil, []string{"hello", "!xpect"}},
	{"cookies in pieces", "1", [][2]string{{"cookie", "a=b"}, {"cookie", "c=d"}}, nil, nil, []string{"Cookie: a=b; c=d"}},
	{"body that looks like chunks", "1", [][2]string{{":method", "POST"}}, []string{"0\r\n\r\nGET /stolen HTTP/1.1\r\n\r\n"}, nil, nil},
	{"get with a body", "1", [][2]string{{"content-length", "5"}}, []string{"hello"}, nil, []string{"hello"}},
	{"head with a body", "1", [][2]string{{":method", "HEAD"}}, []string{"hello"}, nil, nil},
}

// fields are the headers of a stream, with its mark.
func (s *stream) fields(mark string) (block []byte) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	write := func(name, value string) {
		_ = e.WriteField(hpack.HeaderField{Name: strings.TrimPrefix(name, "late"), Value: strings.ReplaceAll(value, "ID", mark)})
	}
	for _, p := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x.test"}, {":path", "/p/ID"}} {
		given := false
		for _, h := range s.head {
			if h[0] == p[0] {
				if given = true; h[1] != "-" {
					write(h[0], h[1])
				}
			}
		}
		if !given {
			write(p[0], p[1])
		}
	}
	for _, h := range s.head {
		if h[0] != ":method" && h[0] != ":scheme" && h[0] != ":authority" && h[0] != ":path" {
			write(h[0], h[1])
		}
	}
	write("x-mark", mark)
	return b.Bytes()
}

// send opens a connection for the stream, and returns the status, 0 if the stream or the connection was reset.
func (s *stream) send(mark string) (status int, err error) {
	c, err := tls.Dial("tcp", gate.secure, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ServerName: "localhost"})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.AllowIllegalWrites = true
	_ = f.WriteSettings()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: s.fields(mark), EndHeaders: true, EndStream: s.data == nil})
	for i, data := range s.data {
		_ = f.WriteData(1, i == len(s.data)-1 && s.trail == nil, []byte(strings.ReplaceAll(data, "ID", mark)))
	}
	if s.trail != nil {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b) // what was sent before is not referred to
		e.SetMaxDynamicTableSize(0)
		for _, h := range s.trail {
			_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: strings.ReplaceAll(h[1], "ID", mark), Sensitive: true})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: true})
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			var se http2.StreamError
			if errors.As(err, &se) {
				continue
			}
			return status, nil // closed
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			status, _ = strconv.Atoi(frame.PseudoValue("status"))
			if frame.StreamEnded() {
				return status, nil
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				return status, nil
			}
		case *http2.RSTStreamFrame:
			return status, nil
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return status, nil
			}
		}
	}
}

// What HTTP/2 carries and HTTP/1 could not does not become something else on its way to an upstream of HTTP/1.
func TestDowngrade(t *testing.T) {
	for _, s := range streams {
		m := mark()
		status, err := s.send(m)
		if err != nil {
			t.Fatal(s.name, err)
		}
		whole, text := 0, ""
		for _, got := range up.of(m) {
			if got.whole {
				whole++
			}
			if strings.Contains(got.target(), "/stolen") {
				t.Errorf("%s: a request was stolen: %s", s.name, got.head)
			}
			text += got.head + "\r\n\r\n" + got.body
		}
		n, _ := strconv.Atoi(s.want)
		switch {
		case status >= 500 && status != 501: // TRACE and CONNECT are not served
			t.Errorf("%s: status %d", s.name, status)
		case s.want == "deny" && (whole > 0 || status > 0 && status < 400):
			t.Errorf("%s: status %d, %d requests: %s", s.name, status, whole, text)
		case n > 0 && (whole != n || status != 200):
			t.Errorf("%s: status %d, %d requests: %s", s.name, status, whole, text)
		}
		for _, check := range s.checks {
			if _, not := strings.CutPrefix(check, "!"); not == strings.Contains(text, strings.TrimPrefix(check, "!")) {
				t.Errorf("%s: %q: %s", s.name, check, text)
			}
		}
	}
	t.Logf("%d cases", len(streams))
}
