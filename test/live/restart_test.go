package live

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

const (
	subscribers = 12 // of each channel
	publishers  = 3  // to each channel
)

// TestRestart ends headrace under load, with a kill and with SIGTERM, again and again. Every acknowledged publication reaches every
// subscriber once and in the order of the history, without a gap.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := start(t, defaults)
	rooms := []string{"chat:one", "resync:two"}
	var acknowledged sync.Map
	var count atomic.Int64
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	subs := map[string][]*subscription{}
	var clients []*client
	for r, room := range rooms {
		for n := range subscribers {
			c := enter(t, s.url("/websocket"), n%2 == 0, fmt.Sprint("listener-", n), nil)
			o := centrifuge.SubscriptionConfig{}
			if n%3 == 0 {
				o.Delta = centrifuge.DeltaTypeFossil
			}
			clients, subs[room] = append(clients, c), append(subs[room], c.join(t, room, o))
		}
		for n := range publishers {
			c := enter(t, s.url("/websocket"), n%2 == 0, fmt.Sprint("talker-", n), nil)
			publishing.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					data := fmt.Sprintf(`{"room":%d,"by":%d,"n":%d}`, r, n, i)
					if c.say(t, room, data) == nil { // what fails may be there or not, once
						acknowledged.Store(data, room)
						count.Add(1)
					}
				}
			})
		}
	}
	for round, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGKILL} {
		before := count.Load()
		eventually(t, "publications", func() bool { return count.Load() > before+150 })
		s.end(signal)
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			if why := recv(t, c.connecting, "connecting"); round == 0 && why.Code == 0 {
				why = recv(t, c.connecting, "connecting again") // the first was that of the test
			} else if signal == syscall.SIGTERM && why.Code != 3001 {
				t.Errorf("SIGTERM is told as %+v", why)
			}
			recv(t, c.connected, "connected again")
		}
	}
	before := count.Load()
	eventually(t, "publications at the end", func() bool { return count.Load() > before+50 })
	close(stop)
	publishing.Wait()
	last := enter(t, s.url("/websocket"), false, "last", nil)
	for _, room := range rooms {
		if err := last.say(t, room, `"last"`); err != nil {
			t.Fatal(err)
		}
		var order []string
		for n, sub := range subs[room] {
			var heard []string
			for {
				p := recv(t, sub.publications, "publication")
				if heard = append(heard, string(p.Data)); p.Offset != uint64(len(heard)) {
					t.Fatalf("%s: subscriber %d got offset %d after %d", room, n, p.Offset, len(heard)-1)
				}
				if string(p.Data) == `"last"` {
					break
				}
			}
			if order == nil {
				order = heard
			}
			if fmt.Sprint(order) != fmt.Sprint(heard) {
				t.Errorf("%s: subscriber %d heard another order", room, n)
			}
			for recovered := len(sub.subscribed); recovered > 0; recovered-- {
				if in := <-sub.subscribed; !in.WasRecovering || !in.Recovered {
					t.Errorf("%s: subscriber %d: %+v", room, n, in)
				}
			}
		}
		times := map[string]int{}
		for _, data := range order {
			if times[data]++; times[data] > 1 {
				t.Errorf("%s came %d times", data, times[data])
			}
		}
		acknowledged.Range(func(data, in any) bool {
			if in == room && times[data.(string)] != 1 {
				t.Errorf("%s was acknowledged and came %d times", data, times[data.(string)])
			}
			return true
		})
		t.Logf("%s: %d publications, each heard by %d subscribers", room, len(order), subscribers)
	}
}

// TestShutdown: clients are told to come back, spread over the window.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := start(t, strings.Replace(defaults, "shutdown_window: 300ms", "shutdown_window: 1s", 1))
	told := make(chan time.Time, 100)
	for n := range 40 {
		c := enter(t, s.url("/websocket"), n%2 == 0, "ann", nil)
		recv(t, c.connecting, "connecting")
		go func() {
			if why := <-c.connecting; why.Code == 3001 {
				told <- time.Now()
			}
		}()
	}
	stream, err := http.Get("http://" + s.public + "/live/uni_sse?channels=chat:x&token=" + token(t, "ann", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	began := time.Now()
	s.end(syscall.SIGTERM)
	if text, err := io.ReadAll(stream.Body); err != nil || !strings.Contains(string(text), `"disconnect":{"code":3001`) {
		t.Errorf("one-way client: %q %v", text, err)
	}
	early := 0
	for range 40 {
		if recv(t, told, "advice to come back").Before(began.Add(500 * time.Millisecond)) {
			early++
		}
	}
	if early == 40 {
		t.Error("all clients were told to come back in the first half of the window")
	}
}
