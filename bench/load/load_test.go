package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentilesAreWithinOnePercent(t *testing.T) {
	var h, other Histogram
	var exact []time.Duration
	for i := range 20_000 {
		d := time.Duration(i) * time.Duration(i) * 7
		exact = append(exact, d)
		if i%2 == 0 {
			h.Record(d)
		} else {
			other.Record(d)
		}
	}
	h.Merge(&other)
	slices.Sort(exact)
	for _, p := range []float64{1, 50, 90, 99, 99.9} {
		want := exact[int(p/100*float64(len(exact)))-1]
		if got := h.Percentile(p); float64(got) < float64(want)*0.999 || float64(got) > float64(want)*1.01 {
			t.Errorf("p%v is %v, want %v", p, got, want)
		}
	}
	if h.Max() != exact[len(exact)-1] || h.Percentile(100) != h.Max() || h.Count() != 20_000 {
		t.Errorf("max %v, p100 %v, count %d", h.Max(), h.Percentile(100), h.Count())
	}
}

func TestHistogramStepsMeetWithoutGap(t *testing.T) {
	for i := range 40 * fine {
		if got := step(uint64(upper(i))); got != i {
			t.Fatalf("upper(%d) lies in step %d", i, got)
		}
		if got := step(uint64(upper(i)) + 1); got != i+1 {
			t.Fatalf("upper(%d)+1 lies in step %d", i, got)
		}
	}
	var h Histogram
	h.Record(1<<63 - 1)
	h.Record(-1)
	if h.Percentile(1) != 0 || h.Percentile(100) != 1<<63-1 {
		t.Errorf("edges are %v and %v", h.Percentile(1), h.Percentile(100))
	}
}

func server(t *testing.T, handler http.HandlerFunc) string {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func get(request int, into []byte) []byte {
	return fmt.Appendf(into, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", request)
}

func TestClosedSendsEachRequestOnce(t *testing.T) {
	seen := make([]atomic.Int32, 500)
	addr := server(t, func(w http.ResponseWriter, r *http.Request) {
		var i int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &i)
		seen[i].Add(1)
		if i%2 == 0 {
			w.(http.Flusher).Flush() // chunks
		}
		fmt.Fprint(w, i)
	})
	result, err := Closed(t.Context(), Plan{Addr: addr, Connections: 8, Requests: len(seen), Next: get,
		Check: func(request, status int, body []byte, _, _ time.Time) error {
			if status != 200 || string(body) != fmt.Sprint(request) {
				return fmt.Errorf("status %d, body %q", status, body)
			}
			return nil
		}})
	if err != nil || result.Error != nil || result.Done != len(seen) || result.Failed != 0 {
		t.Fatalf("%v, %+v", err, result)
	}
	for i := range seen {
		if seen[i].Load() != 1 {
			t.Errorf("request %d was sent %d times", i, seen[i].Load())
		}
	}
}

func TestOpenChargesAStallToTheRequestsThatWaited(t *testing.T) {
	release := make(chan struct{})
	addr := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/0" {
			<-release
		}
	})
	timer := time.AfterFunc(300*time.Millisecond, func() { close(release) })
	defer timer.Stop()
	result, err := Open(t.Context(), 100, Plan{Addr: addr, Connections: 1, Requests: 20, Next: get,
		Check: func(int, int, []byte, time.Time, time.Time) error { return nil }})
	if err != nil || result.Error != nil {
		t.Fatal(err, result.Error)
	}
	if p50 := result.Latency.Percentile(50); p50 < 100*time.Millisecond {
		t.Errorf("p50 is %v although everything waited behind one stalled request", p50)
	}
}

func TestCancelEndsARunThatWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := server(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := Closed(ctx, Plan{Addr: addr, Connections: 2, Requests: 9, Next: get,
		Check: func(int, int, []byte, time.Time, time.Time) error { return nil }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestAPlanWithoutEndIsRefused(t *testing.T) {
	if _, err := Closed(t.Context(), Plan{}); err == nil {
		t.Error("accepted")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	f.Add("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nTrailer: 1\r\n\r\n")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		status, body, used, err := answer([]byte(text), nil)
		if err == nil && (status < 200 || status > 999 || len(body) > used || used > len(text) || !bytes.Contains([]byte(text), []byte("HTTP/1.1"))) {
			t.Errorf("status %d, %d bytes of body, %d used", status, len(body), used)
		}
		if err == nil {
			if _, _, _, err := answer([]byte(text[:used-1]), nil); !errors.Is(err, errShort) {
				t.Errorf("without its last byte: %v", err)
			}
		}
	})
}
