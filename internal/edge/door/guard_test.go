package door

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/headrace/headrace/internal/config"
)

// head is the block of a request, with more headers behind.
func head(path string, more ...hpack.HeaderField) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range append([]hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"}, {Name: ":path", Value: path}}, more...) {
		_ = e.WriteField(f)
	}
	return b.Bytes()
}

// goAway reads until the server says why it ends the connection.
func goAway(f *http2.Framer) (http2.ErrCode, error) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return 0, err
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok {
			return g.ErrCode, nil
		}
	}
}

// flood sends until the server has enough, and returns what it says.
func flood(t *testing.T, r *rig, send func(f *http2.Framer, i int) error) http2.ErrCode {
	t.Helper()
	c, f := r.frames()
	end := make(chan http2.ErrCode, 1)
	failed := make(chan error, 1)
	go func() {
		code, err := goAway(f)
		if err != nil {
			failed <- err
			return
		}
		end <- code
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100_000 {
		if send(f, i) != nil {
			break
		}
	}
	defer c.Close()
	select {
	case code := <-end:
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		return code
	case err := <-failed:
		t.Fatalf("no GOAWAY: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the flood was taken")
	}
	return 0
}

func TestRapidReset(t *testing.T) {
	lines := make(told, 100)
	r := newRig(t, func(_ *config.Config, r *rig) { r.log = lines })
	block := head("/hello")
	code := flood(t, r, func(f *http2.Framer, i int) error {
		id := uint32(2*i + 1)
		return errors.Join(f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}), f.WriteRSTStream(id, http2.ErrCodeCancel))
	})
	if code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("GOAWAY says %v", code)
	}
	if line := wait(t, lines); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "remote=127.0.0.1:") || !strings.Contains(line, "code=ENHANCE_YOUR_CALM") {
		t.Error(line)
	}
}

// As many resets as are allowed within a second are no reason to end a connection.
func TestSomeResets(t *testing.T) {
	r := newRig(t, func(c *config.Config, _ *rig) { c.Server.HTTP2.MaxResets = 50 })
	_, f := r.frames()
	block := head("/hello")
	for i := range 51 {
		id := uint32(2*i + 1)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
		if i < 50 {
			_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if frame.Header().Type == http2.FrameGoAway {
			t.Fatal("GOAWAY")
		}
		if frame.Header().StreamID == 101 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}

func TestControlFloods(t *testing.T) {
	for name, send := range map[string]func(f *http2.Framer, i int) error{
		"ping":     func(f *http2.Framer, i int) error { return f.WritePing(false, [8]byte{}) },
		"settings": func(f *http2.Framer, i int) error { return f.WriteSettings() },
		"priority": func(f *http2.Framer, i int) error { return f.WritePriority(uint32(2*i+1), http2.PriorityParam{}) },
		"empty": func(f *http2.Framer, i int) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head("/slow"), EndHeaders: true})
			}
			return f.WriteData(1, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *config.Config, _ *rig) { c.Server.HTTP2.MaxControl = 500 })
			if code := flood(t, r, send); code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("GOAWAY says %v", code)
			}
		})
	}
}

// A head without end, in CONTINUATION frames, is given up when it is too large.
func TestContinuationFlood(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, f := r.frames()
	fragment := head("/hello", hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte("y"), 8000))})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fragment})
	go func() {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		e.SetMaxDynamicTableSize(0)
		_ = e.WriteField(hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte("y"), 8000))})
		for range 10_000 {
			if f.WriteContinuation(1, false, b.Bytes()) != nil {
				return
			}
		}
	}()
	for {
		frame, err := f.ReadFrame()
		if err != nil { // closed, with or without a word
			break
		}
		if frame.Header().Type == http2.FrameGoAway {
			break
		}
	}
	c.Close()
}

// A small head that unpacks into a large one is answered with 431.
func TestHeaderBomb(t *testing.T) {
	r := newRig(t, nil)
	_, f := r.frames()
	var more []hpack.HeaderField
	for range 2000 { // each but the first is one byte
		more = append(more, hpack.HeaderField{Name: "x-bomb", Value: string(bytes.Repeat([]byte("y"), 3000))})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head("/hello", more...), EndHeaders: true, EndStream: true})
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			if got := h.PseudoValue("status"); got != "431" {
				t.Errorf("status %s", got)
			}
			return
		}
		if frame.Header().Type == http2.FrameGoAway {
			return
		}
	}
}

// What begins and does not go on is closed within the header timeout, on every door.
func TestSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config, r *rig) {
		all(c, r)
		c.Server.HeaderTimeout = 300 * time.Millisecond
		c.Server.ProxyProtocol = []string{"127.0.0.1/32"}
	})
	slow := map[net.Conn]string{}
	for name, send := range map[string]string{
		"nothing": "", "half a preface": "PR", "half a PROXY header": "PROXY TCP4 ", "a header of version 2": string(signature),
		"a slow head": "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHos", "nothing after PROXY": "PROXY UNKNOWN\r\n",
	} {
		for _, address := range []net.Addr{r.Addr(), r.SecureAddr()} {
			c, err := net.Dial("tcp", address.String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, send)
			slow[c] = name
		}
	}
	end := time.Now().Add(9 * time.Second) // the default is 10
	for c, name := range slow {
		_ = c.SetReadDeadline(end)
		if _, err := io.Copy(io.Discard, c); err != nil && errors.Is(err, errTimeout) {
			t.Errorf("%s: it stays open", name)
		}
		c.Close()
	}
}

// A head of HTTP/2 that does not end is closed within the header timeout.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config, _ *rig) { c.Server.HeaderTimeout = 300 * time.Millisecond })
	for _, whole := range []bool{true, false} {
		c, f := r.frames()
		block := head("/hello")
		if whole {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
		} else {
			_, _ = c.Write([]byte{0, 0, 100, byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders), 0, 0, 0, 1, 0x82})
		}
		began := time.Now()
		for {
			if _, err := f.ReadFrame(); err != nil {
				break
			}
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("it was open for %s", took)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, parts frames
		var one, two int
		whole.follow(b, func([]byte) { one++ })
		if cut < 1 {
			cut = 1
		}
		for rest := b; len(rest) > 0; {
			n := min(cut, len(rest))
			parts.follow(rest[:n], func([]byte) { two++ })
			rest = rest[n:]
		}
		if one != two || whole != parts {
			t.Fatalf("%d frames whole, %d in parts", one, two)
		}
	})
}
