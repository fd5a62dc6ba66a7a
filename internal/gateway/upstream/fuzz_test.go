package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
)

// FuzzHead has net/http for a judge: what is accepted here it reads in the same way, and a head is found in the same place whatever
// pieces it comes in.
func FuzzHead(f *testing.F) {
	for _, h := range corpus {
		f.Add([]byte(h.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end, err := look(b, 0)
		seen, piecewise := 0, 0
		var stopped error
		for n := range len(b) {
			if piecewise, stopped = look(b[:n+1], seen); piecewise > 0 || stopped != nil {
				break
			}
			seen = n + 1
		}
		if piecewise != end && stopped == nil {
			t.Fatalf("ends at %d, piecewise at %d", end, piecewise)
		}
		if err != nil || end == 0 {
			return
		}
		h := &head{}
		if err := h.parse(b[:end], 64); err != nil {
			var m malformed
			if !errors.As(err, &m) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if stopped != nil {
			t.Fatalf("accepted, but refused piecewise: %v", stopped)
		}
		judge, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil && h.trailer && h.chunked {
			return // net/http refuses to be told of some trailers; here they are left out
		}
		if err != nil {
			t.Fatalf("accepted %q, net/http does not: %v", b[:end], err)
		}
		if judge.StatusCode != h.status || judge.ProtoMinor != int(h.minor) {
			t.Fatalf("status %d of 1.%d, net/http reads %d of 1.%d", h.status, h.minor, judge.StatusCode, judge.ProtoMinor)
		}
		if chunked := slices.Equal(judge.TransferEncoding, []string{"chunked"}); !h.without() && chunked != h.chunked {
			t.Fatalf("chunked %v, net/http reads %v", h.chunked, judge.TransferEncoding)
		}
		if !h.without() && !h.chunked && judge.ContentLength != h.length {
			t.Fatalf("length %d, net/http reads %d", h.length, judge.ContentLength)
		}
		for _, field := range h.fields {
			if bytes.ContainsAny(field.name, "\r\n: \x00") || bytes.ContainsAny(field.value, "\r\n\x00") {
				t.Fatalf("field %q: %q", field.name, field.value)
			}
			if field.kind == ordinary && !slices.Contains(judge.Header.Values(string(field.name)), string(field.value)) {
				t.Fatalf("field %q: %q is not in %v", field.name, field.value, judge.Header)
			}
		}
	})
}

// FuzzChunked takes bodies apart at once and byte by byte, with net/http's reader for a judge of what they hold.
func FuzzChunked(f *testing.F) {
	for _, h := range corpus {
		if body, found := strings.CutPrefix(h.bytes, chunked); found {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(piece int) (body []byte, used int, over bool, err error) {
			c := chunks{limit: 256}
			for used < len(b) && c.state != atEnd {
				part := b[used:min(len(b), used+piece)]
				data, n, err := c.next(part, max(piece/2, 1))
				if err != nil {
					return body, used, false, err
				}
				if n == 0 {
					t.Fatalf("no progress at %d of %q", used, b)
				}
				body, used = append(body, data...), used+n
			}
			if c.state != atEnd {
				return body, used, false, nil
			}
			_, err = c.fields(16)
			return body, used, true, err
		}
		body, used, over, err := read(1 << 20)
		slow, slowUsed, slowOver, slowErr := read(1)
		if !bytes.Equal(body, slow) || over != slowOver || err != slowErr || err == nil && used != slowUsed {
			t.Fatalf("%q at once: %q %d %v %v; byte by byte: %q %d %v %v", b, body, used, over, err, slow, slowUsed, slowOver, slowErr)
		}
		if err != nil || !over {
			return
		}
		judged, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if err != nil || !bytes.Equal(body, judged) {
			t.Fatalf("%q is %q, net/http reads %q, %v", b, body, judged, err)
		}
	})
}
