package h2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestAnswers(t *testing.T) {
	r := newRig(t, nil, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "5")
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			_, _ = io.WriteString(w, "hello")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-More", "2")
		case "/echo":
			_, _ = io.Copy(w, r.Body)
		case "/head":
			w.Header().Set("Content-Length", "7")
			w.WriteHeader(http.StatusOK)
		case "/pieces":
			for i := range 3 {
				fmt.Fprintf(w, "%d;", i)
				_ = http.NewResponseController(w).Flush()
			}
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "five.")
		case "/panic":
			panic("on purpose")
		case "/early":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		}
	})
	if res, body := r.ask(t, "GET", "/length", nil); string(body) != "hello" || res.ContentLength != 5 || len(res.Header["Set-Cookie"]) != 2 || res.Header.Get("Date") == "" {
		t.Error(res.Header, string(body))
	}
	if res, body := r.ask(t, "GET", "/none", nil); res.StatusCode != 204 || len(body) != 0 {
		t.Error(res.Status)
	}
	if res, body := r.ask(t, "GET", "/trailers", nil); string(body) != "body" || res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("X-More") != "2" || res.Header.Get("X-Sum") != "" {
		t.Error(res.Header, res.Trailer)
	}
	if res, body := r.ask(t, "HEAD", "/head", nil); res.ContentLength != 7 || len(body) != 0 {
		t.Error(res.Header)
	}
	if _, body := r.ask(t, "GET", "/pieces", nil); string(body) != "0;1;2;" {
		t.Error(string(body))
	}
	if res, _ := r.ask(t, "GET", "/early", nil); res.StatusCode != 200 || res.Header.Get("Link") != "" {
		t.Error(res.Header)
	}
	for _, path := range []string{"/short", "/panic"} {
		res, err := r.client.Get("http://" + r.address + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		var fault http2.StreamError
		if !errors.As(err, &fault) || fault.Code != http2.ErrCodeInternal {
			t.Error(path, err)
		}
	}
	// Bodies far larger than all windows, many at once.
	long := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.address+"/echo", bytes.NewReader(long))
			res, err := r.client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, long) {
				t.Errorf("%d bytes of %d, %v", len(got), len(long), err)
			}
		})
	}
	all.Wait()
}

func TestRequests(t *testing.T) {
	r := newRig(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", r.Host, " ", r.RequestURI, " ", r.ContentLength, " ", r.Header.Get("Cookie"), " ", string(body), " ", r.Trailer.Get("X-T"), " ", err)
	})
	p := r.peer(t)
	p.request(1, false, ":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/a?b=1", "cookie", "a=1", "cookie", "b=2", "content-length", "5", "trailer", "x-t")
	_ = p.WriteDataPadded(1, false, []byte("he"), make([]byte, 10))
	_ = p.WriteData(1, false, []byte("llo"))
	p.block.Reset()
	p.request(1, true, "x-t", "end", "x-other", "1")
	p.expect(head(1, "200"))
	data := p.expect(func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
	if want := "POST h /a?b=1 5 a=1; b=2 hello end <nil>"; string(data.Data()) != want {
		t.Errorf("%s", data.Data())
	}
}

// Each fault of the client is answered as RFC 9113 asks, and the connection goes on where it can.
func TestFaults(t *testing.T) {
	var asked atomic.Int64
	r := newRig(t, func(o *Options) { o.MaxStreams, o.MaxHeader = 2, 4<<10 }, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/hold" {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}
	})
	request := func(fields ...string) func(*peer) {
		return func(p *peer) { p.request(1, true, fields...) }
	}
	for name, c := range map[string]struct {
		send func(*peer)
		want func(http2.Frame) bool
	}{
		"no path":             {request(":method", "GET", ":scheme", "http", ":authority", "h"), reset(1, http2.ErrCodeProtocol)},
		"connection header":   {request(":method", "GET", ":scheme", "http", ":path", "/", "connection", "close"), reset(1, http2.ErrCodeProtocol)},
		"te":                  {request(":method", "GET", ":scheme", "http", ":path", "/", "te", "gzip"), reset(1, http2.ErrCodeProtocol)},
		"two lengths":         {request(":method", "GET", ":scheme", "http", ":path", "/", "content-length", "0", "content-length", "1"), reset(1, http2.ErrCodeProtocol)},
		"length without body": {request(":method", "POST", ":scheme", "http", ":path", "/", "content-length", "1"), reset(1, http2.ErrCodeProtocol)},
		"CONNECT with path":   {request(":method", "CONNECT", ":authority", "h:1", ":path", "/"), reset(1, http2.ErrCodeProtocol)},
		"too much body": {func(p *peer) {
			p.request(1, false, ":method", "POST", ":scheme", "http", ":path", "/hold", "content-length", "1")
			_ = p.WriteData(1, false, []byte("xy"))
		}, reset(1, http2.ErrCodeProtocol)},
		"too many streams": {func(p *peer) {
			p.get(1, "/hold")
			p.get(3, "/hold")
			p.get(5, "/hold")
		}, reset(5, http2.ErrCodeRefusedStream)},
		"window of a stream": {func(p *peer) {
			p.request(1, false, ":method", "POST", ":scheme", "http", ":path", "/hold")
			_ = p.WriteWindowUpdate(1, 1<<31-1)
		}, reset(1, http2.ErrCodeFlowControl)},
		"window of the connection": {func(p *peer) { _ = p.WriteWindowUpdate(0, 1<<31-1) }, goAway(http2.ErrCodeFlowControl)},
		"even stream":              {func(p *peer) { p.get(2, "/") }, goAway(http2.ErrCodeProtocol)},
		"data for nothing":         {func(p *peer) { _ = p.WriteData(1, false, []byte("x")) }, goAway(http2.ErrCodeProtocol)},
		"push": {func(p *peer) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, goAway(http2.ErrCodeProtocol)},
		"table": {func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, goAway(http2.ErrCodeCompression)},
		"head too long": {request(append([]string{":method", "GET", ":scheme", "http", ":path", "/"}, slices.Repeat([]string{"x", strings.Repeat("x", 100)}, 40)...)...), head(1, "431")},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.peer(t)
			c.send(p)
			p.expect(c.want)
		})
	}
}

// A client that takes nothing holds up neither the reader nor other clients, and its answers end with their deadline.
func TestSlowClient(t *testing.T) {
	ended := make(chan error, 1)
	r := newRig(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := w.Write(make([]byte, 1<<20))
		ended <- err
	})
	p := r.peer(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	p.get(1, "/")
	p.get(3, "/quick")
	p.expect(head(3, "200"))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	p.expect(reset(1, http2.ErrCodeInternal))
}

// The context of a request ends when the client resets it, and what is derived of it.
func TestReset(t *testing.T) {
	ended := make(chan error, 1)
	r := newRig(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		called := make(chan struct{})
		context.AfterFunc(r.Context(), func() { close(called) })
		_, err := r.Body.Read(make([]byte, 1))
		<-ctx.Done()
		<-called
		ended <- err
	})
	p := r.peer(t)
	p.request(1, false, ":method", "POST", ":scheme", "http", ":path", "/")
	_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
	select {
	case err := <-ended:
		if !errors.Is(err, errGone) {
			t.Error(err)
		}
	case <-time.After(wait):
		t.Error("the handler does not get to know")
	}
}

func TestContinue(t *testing.T) {
	r := newRig(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_, _ = io.Copy(w, r.Body)
		}
	})
	p := r.peer(t)
	p.request(1, false, ":method", "POST", ":scheme", "http", ":path", "/read", "expect", "100-continue")
	p.expect(head(1, "100"))
	_ = p.WriteData(1, true, []byte("x"))
	p.expect(head(1, "200"))
	p.request(3, false, ":method", "POST", ":scheme", "http", ":path", "/refuse", "expect", "100-continue")
	p.expect(head(3, "200"))
	p.expect(reset(3, http2.ErrCodeNo)) // the client need not send the body
	_ = p.WriteData(3, true, []byte("x"))
	p.get(5, "/")
	p.expect(head(5, "200"))
}

// A deadline of the body wakes who reads it.
func TestReadDeadline(t *testing.T) {
	r := newRig(t, nil, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
	})
	p := r.peer(t)
	p.request(1, false, ":method", "POST", ":scheme", "http", ":path", "/")
	data := p.expect(func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
	if string(data.Data()) != "true" {
		t.Errorf("%s", data.Data())
	}
}

// Draining lets what is under way finish, and what the client had sent before it knew.
func TestDrain(t *testing.T) {
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	r := newRig(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	p := r.peer(t)
	p.get(1, "/")
	<-begun
	drained := make(chan struct{})
	go func() {
		r.Drain(t.Context())
		close(drained)
	}()
	p.expect(func(f http2.Frame) bool { g, ok := f.(*http2.GoAwayFrame); return ok && g.LastStreamID == 1<<31-1 })
	p.get(3, "/")
	<-begun
	ping := p.expect(func(f http2.Frame) bool { _, ok := f.(*http2.PingFrame); return ok }).(*http2.PingFrame)
	_ = p.WritePing(true, ping.Data)
	p.expect(func(f http2.Frame) bool { g, ok := f.(*http2.GoAwayFrame); return ok && g.LastStreamID == 3 })
	p.request(5, false, ":method", "POST", ":scheme", "http", ":path", "/") // too late: nobody answers
	_ = p.WriteData(5, true, []byte("x"))
	close(finish)
	for ended := 0; ended < 2; {
		if d, ok := p.expect(func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame); ok && d.StreamEnded() {
			ended++
		}
	}
	select {
	case <-drained:
	case <-time.After(wait):
		t.Error("it does not end")
	}
}

// Connections without requests end.
func TestIdle(t *testing.T) {
	r := newRig(t, func(o *Options) { o.IdleTimeout = 100 * time.Millisecond }, func(http.ResponseWriter, *http.Request) {})
	p := r.peer(t)
	p.get(1, "/")
	p.expect(goAway(http2.ErrCodeNo))
	for {
		if _, err := p.ReadFrame(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return
		}
	}
}

// FuzzServe gives a connection whatever a client may send: it ends, and so do its handlers.
func FuzzServe(f *testing.F) {
	var seed bytes.Buffer
	framer := http2.NewFramer(&seed, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x86, 0x84}, EndHeaders: true})
	_ = framer.WriteData(1, true, []byte("hello"))
	_ = framer.WriteWindowUpdate(0, 10)
	_ = framer.WriteRSTStream(1, http2.ErrCodeCancel)
	_ = framer.WritePing(false, parting)
	f.Add(seed.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frames []byte) {
		client, server := pipe()
		s := New(Options{MaxStreams: 10, MaxFrame: 16 << 10, MaxHeader: 4 << 10, IdleTimeout: wait, Log: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		})})
		ended := make(chan struct{})
		go func() {
			s.Serve(context.Background(), server, nil)
			close(ended)
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_, _ = io.WriteString(client, http2.ClientPreface)
		_, _ = client.Write(frames)
		_ = client.Close()
		select {
		case <-ended:
		case <-time.After(wait):
			t.Fatal("the connection does not end")
		}
	})
}

// BenchmarkRequest is a small request and answer, 16 at once over one connection.
func BenchmarkRequest(b *testing.B) {
	answer := []byte(strings.Repeat("x", 120))
	r := newRig(b, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "120")
		_, _ = w.Write(answer)
	})
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.ask(b, "GET", "/", nil)
		}
	})
}
