package history

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/engine"
)

// TestKill kills a process that publishes from many goroutines; the test runs itself as that process.
func TestKill(t *testing.T) {
	const child = "HISTORY_TEST_KILL"
	if data := os.Getenv(child); data != "" {
		publishForEver(t, data)
	}
	data := t.TempDir()
	acked := map[string]map[uint64]string{}
	epochs := map[string]string{}
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), child+"="+data)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		read := func() bool {
			var channel, epoch, body string
			var offset uint64
			if n, _ := fmt.Sscanf(lines.Text(), "acked %s %s %d %s", &channel, &epoch, &offset, &body); n != 4 {
				return false
			}
			if acked[channel] == nil {
				acked[channel], epochs[channel] = map[uint64]string{}, epoch
			}
			if epochs[channel] != epoch {
				t.Errorf("%s: epoch %s became %s in round %d", channel, epochs[channel], epoch, round)
			}
			if before, ok := acked[channel][offset]; ok {
				t.Errorf("%s: offset %d is %s and %s", channel, offset, before, body)
			}
			acked[channel][offset] = body
			return true
		}
		for n := 0; n < 1000 && lines.Scan(); {
			if read() {
				n++
			}
		}
		must(t, cmd.Process.Kill())
		for lines.Scan() {
			read()
		}
		_ = cmd.Wait()
	}
	r := open(t, openEngine(t, engine.Config{Data: data}), Options{Size: 100_000, Age: time.Hour})
	for channel, all := range acked {
		found, top := r.read(channel, Filter{Limit: All})
		if top.Epoch != epochs[channel] || top.Offset != uint64(len(found)) {
			t.Fatalf("%s: %d publications up to %v, epoch was %s", channel, len(found), top, epochs[channel])
		}
		want(t, found, from(1, top.Offset)...)
		for offset, body := range all {
			if offset > top.Offset || string(found[offset-1].Data) != body {
				t.Fatalf("%s: %d is lost", channel, offset)
			}
		}
	}
	if len(acked) != 5 {
		t.Fatal(len(acked))
	}
}

func publishForEver(t *testing.T, data string) {
	r := open(t, openEngine(t, engine.Config{Data: data}), Options{Size: 100_000, Age: time.Hour})
	var mu sync.Mutex
	var all sync.WaitGroup
	for p := range 20 {
		channel := fmt.Sprintf("kill:%d", p%5)
		all.Go(func() {
			for i := 0; ; i++ {
				body := fmt.Sprintf("%d.%d.%d", os.Getpid(), p, i)
				at := r.publish(channel, body)
				mu.Lock()
				fmt.Println("acked", channel, at.Epoch, at.Offset, body)
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestTooLarge(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{MaxPayload: 64 << 10}), hour)
	at := r.publish("a", "1")
	_, _, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text(strings.Repeat("x", 64<<10))})
	wantCode(t, err, "HR3052")
	if next := r.publish("a", "2"); next != (Position{2, at.Epoch}) {
		t.Fatal(next)
	}
	if next := r.publish("a", strings.Repeat("x", 64<<10-headerMargin-40)); next.Offset != 3 {
		t.Fatal(next)
	}
}

// A store that is full refuses some of many publications that are on their way; the others stay dense and in order.
func TestStoreIsFull(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{MaxStore: 1 << 20}), Options{Size: 1000, Age: time.Hour})
	body := strings.Repeat("x", 4<<10)
	var mu sync.Mutex
	stored, refused := 0, 0
	var all sync.WaitGroup
	for c := range 4 {
		for range 150 {
			all.Go(func() {
				_, ok, err := r.log.Publish(t.Context(), Publish{Channel: fmt.Sprint(c), Publication: text(body)})
				mu.Lock()
				defer mu.Unlock()
				if ok {
					stored++
				} else {
					wantCode(t, err, "HR3050")
					refused++
				}
			})
		}
	}
	all.Wait()
	if stored == 0 || refused == 0 {
		t.Fatal(stored, refused)
	}
	r.got.check(t)
	must(t, r.log.Configure(t.Context(), Options{Size: 10, Age: time.Hour})) // makes room
	total := uint64(0)
	for c := range 4 {
		name := fmt.Sprint(c)
		n := uint64(len(r.got.of(name)))
		total += n
		want(t, r.got.of(name), from(1, n)...)
		if next := r.publish(name, "after"); next.Offset != n+1 {
			t.Fatal(next, n)
		}
	}
	if total != uint64(stored) {
		t.Fatal(total, stored)
	}
}

// More bytes than may be on their way at once wait for their turn; more than may wait are refused.
func TestManyLargePublications(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{Durability: engine.Written}), Options{Size: 10, Age: time.Hour, Queue: 40 << 20})
	body := strings.Repeat("x", 3<<20)
	var mu sync.Mutex
	stored := 0
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			_, ok, err := r.log.Publish(t.Context(), Publish{Channel: fmt.Sprint(i % 10), Publication: text(body)})
			mu.Lock()
			defer mu.Unlock()
			if ok {
				stored++
			} else {
				wantCode(t, err, "HR3050")
			}
		})
	}
	all.Wait()
	if stored < 13 {
		t.Fatal(stored)
	}
	for i := range 10 {
		r.publish(fmt.Sprint(i), "after")
	}
	if left := r.log.queued.Load(); left != 0 {
		t.Fatal(left)
	}
	r.got.check(t)
}

func TestDiskGuard(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{MinFree: 1 << 60}), hour)
	_, _, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x")})
	wantCode(t, err, "HR5002")
	if top := r.top("a"); top.Offset != 0 {
		t.Fatal(top)
	}
}

func TestEngineStops(t *testing.T) {
	e := openEngine(t, engine.Config{})
	r := open(t, e, hour)
	r.publish("a", "1")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for {
				if _, _, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x")}); err != nil {
					return
				}
			}
		})
	}
	poll(t, "publications", func() bool { return len(r.got.of("a")) > 100 })
	must(t, e.Stop(context.Background()))
	all.Wait()
	r.got.check(t)
}

func TestStopDrains(t *testing.T) {
	e := openEngine(t, engine.Config{})
	r := open(t, e, Options{Size: 10_000, Age: time.Hour})
	var mu sync.Mutex
	acked := map[uint64]bool{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for {
				at, _, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x")})
				if err != nil {
					wantCode(t, err, "HR3050")
					return
				}
				mu.Lock()
				acked[at.Offset] = true
				mu.Unlock()
			}
		})
	}
	poll(t, "publications", func() bool { return len(r.got.of("a")) > 200 })
	r.stop()
	all.Wait()
	_, _, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x")})
	wantCode(t, err, "HR3050")
	again := open(t, e, Options{Size: 10_000, Age: time.Hour})
	if top := again.top("a"); top.Offset != uint64(len(acked)) {
		t.Fatalf("%d acknowledged, %d stored", len(acked), top.Offset)
	}
}
