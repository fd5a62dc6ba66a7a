package hostile

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd is how many slow clients there are at a time.
func crowd() int {
	if *long {
		return 1000
	}
	return 200
}

// wait90 is the time within which a bystander must have nine of ten answers. The larger crowd alone keeps a small machine busy.
func wait90() time.Duration {
	if *long {
		return 300 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// throng runs clients side by side, and has the figures of the gate looked at until all have ended. None may fail.
func throng(t *testing.T, clients int, client func() error, look func(figures)) {
	t.Helper()
	var wait sync.WaitGroup
	failed := make(chan error, clients)
	for range clients {
		wait.Go(func() {
			if err := client(); err != nil {
				failed <- err
			}
		})
	}
	over := make(chan struct{})
	go func() {
		wait.Wait()
		close(over)
	}()
	for watching := true; watching; {
		look(gate.figures())
		select {
		case <-over:
			watching = false
		case <-time.After(30 * time.Millisecond):
		}
	}
	select {
	case err := <-failed:
		t.Errorf("%d of %d: %v", len(failed)+1, clients, err)
	default:
	}
}

// besiege lets a crowd do something slow, and looks at how a bystander fares meanwhile, and at what is left in the end.
func besiege(t *testing.T, client func(c net.Conn) error) {
	t.Helper()
	before, from := gate.figures(), by.mark()
	var during figures // when most were there
	throng(t, crowd(), func() error {
		c, err := net.Dial("tcp", gate.public)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		return client(c)
	}, func(now figures) {
		if now.open > during.open {
			during = now
		}
	})
	took := by.since(from)
	slices.Sort(took)
	if n := len(took); n < 5 || took[n*9/10] > wait90() {
		t.Errorf("a bystander got %d answers: %v", n, took)
	} else {
		t.Logf("a bystander got %d answers, half within %v, nine of ten within %v; %v connections, memory %d MB, before %d", n, took[n/2], took[n*9/10], during.open,
			during.memory>>20, before.memory>>20)
	}
	if during.open < float64(crowd())/2 {
		t.Errorf("of %d clients %v were there at a time", crowd(), during.open)
	}
	if grown := during.memory - before.memory; grown > int64(crowd())*256<<10+32<<20 {
		t.Errorf("memory has grown by %d MB", grown>>20)
	}
	for deadline := time.Now().Add(patience); gate.figures().open > 2; <-time.After(50 * time.Millisecond) { // the bystander's, and one that just ends
		if time.Now().After(deadline) {
			t.Fatalf("%v connections stay open", gate.figures().open)
		}
	}
}

// ended reads until the server has closed, which must be within a time from began.
func ended(c net.Conn, began time.Time, most time.Duration) error {
	_, err := io.Copy(io.Discard, c)
	if n, ok := err.(net.Error); ok && n.Timeout() {
		return fmt.Errorf("open after %v", time.Since(began))
	}
	if took := time.Since(began); took > most {
		return fmt.Errorf("closed after %v", took)
	}
	return nil
}

// drip writes text, a piece every pause, until the server closes.
func drip(c net.Conn, text string, piece int, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for ; len(text) > 0; <-tick.C {
		n := min(piece, len(text))
		if _, err := io.WriteString(c, text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// slack is what a busy machine adds to a time.
const slack = 4 * time.Second

// A head has one deadline, however its bytes come.
func TestSlowHead(t *testing.T) {
	besiege(t, func(c net.Conn) error {
		began := time.Now()
		go drip(c, "GET /p/hx1w HTTP/1.1\r\nHost: x.test\r\n"+strings.Repeat("X-A: b\r\n", 1000), 3, 100*time.Millisecond)
		return ended(c, began, limit+slack)
	})
}

// So has a connection that says nothing, and one that says nothing more.
func TestSilence(t *testing.T) {
	besiege(t, func(c net.Conn) error { return ended(c, time.Now(), limit+slack) })
	besiege(t, func(c net.Conn) error {
		_, _ = io.WriteString(c, "GET /bystander HTTP/1.1\r\nHost: x.test\r\n\r\n")
		return ended(c, time.Now(), limit+slack)
	})
}

// A body may take its time, but not stop; a small one has the deadline of the head.
func TestSlowBody(t *testing.T) {
	besiege(t, func(c net.Conn) error {
		_, _ = io.WriteString(c, "POST /unmarked HTTP/1.1\r\nHost: x.test\r\nContent-Length: 100000\r\n\r\nhello")
		return ended(c, time.Now(), limit+slack)
	})
	besiege(t, func(c net.Conn) error {
		_, _ = io.WriteString(c, "POST /unmarked HTTP/1.1\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		return ended(c, time.Now(), limit+slack)
	})
	besiege(t, func(c net.Conn) error {
		began := time.Now()
		_, _ = io.WriteString(c, "POST /unmarked HTTP/1.1\r\nHost: x.test\r\nContent-Length: 1000\r\n\r\n")
		go drip(c, strings.Repeat("x", 1000), 1, 200*time.Millisecond)
		return ended(c, began, limit+slack)
	})
}

// Who does not take an answer is cut off when nothing moves for the idle time of the upstream; the rest of the answer is not held in memory.
func TestSlowRead(t *testing.T) {
	besiege(t, func(c net.Conn) error {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, _ = io.WriteString(c, "GET /large/hx2w HTTP/1.1\r\nHost: x.test\r\n\r\n")
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		began := time.Now()
		gone := make(chan struct{})
		go func() { // a write fails when the server has closed
			defer close(gone)
			drip(c, strings.Repeat("\n", 1000), 1, 100*time.Millisecond)
		}()
		<-gone
		if took := time.Since(began); took > 2*limit+2*slack {
			return fmt.Errorf("closed after %v", took)
		}
		return nil
	})
}

var available = regexp.MustCompile(`service available:\s*(YES|NO)`)

// The well-known tool, in its three ways. Each ends when the server has closed all connections, or after its time.
func TestSlowHTTPTest(t *testing.T) {
	if !*long {
		t.Skip("takes long: see -long")
	}
	if _, err := exec.LookPath("slowhttptest"); err != nil {
		t.Skip("slowhttptest is not installed")
	}
	for name, mode := range map[string][]string{
		"slow headers": {"-H", "-i", "1"}, "slow body": {"-B", "-i", "2", "-s", "100000"}, "slow read": {"-X", "-w", "1", "-y", "16", "-n", "3", "-z", "16", "-k", "1"},
		"range": {"-R", "-a", "1", "-b", "1000"},
	} {
		t.Run(name, func(t *testing.T) {
			from := by.mark()
			path := "/unmarked"
			if mode[0] == "-X" {
				path = "/large/hx3w"
			}
			out, err := exec.Command("slowhttptest", append(mode, "-c", "500", "-r", "200", "-l", "15", "-p", "2", "-u", "http://"+gate.public+path)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, m := range available.FindAllSubmatch(out, -1) {
				if string(m[1]) != "YES" {
					t.Errorf("the service was not available\n%s", out)
					break
				}
			}
			took := by.since(from)
			slices.Sort(took)
			if n := len(took); n < 5 || took[n*9/10] > wait90() {
				t.Errorf("a bystander got %d answers: %v", n, took)
			}
		})
	}
}
