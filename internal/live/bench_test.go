package live

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/park"
)

// crowdOf is the number of subscribers of the benchmarks.
func crowdOf() int {
	n, err := strconv.Atoi(os.Getenv("LIVE_CROWD"))
	if err != nil {
		return 1000
	}
	return n
}

// BenchmarkFanOut measures the CPU of this process, the server, for each delivery; the clients are another process. LIVE_CROWD is how many
// subscribers there are.
func BenchmarkFanOut(b *testing.B) {
	for _, burst := range []int{1, 100} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			r := newRig(b, func(c *config.Live) { delete(c.Namespaces, "chat"); delete(c.Namespaces, "cache") }, nil)
			runtime.GC()
			debug.FreeOSMemory()
			before := resident()
			crowd := newCrowd(b, r.addr, "news", crowdOf())
			debug.FreeOSMemory()
			each := float64(resident()-before) / float64(crowd.n)
			b.ResetTimer()
			began := cpu()
			for range b.N {
				for range burst {
					if _, err := r.Publish(b.Context(), "news", fmt.Appendf(nil, `{"n":%d,"text":"something that is about as long as a message, more or less"}`, crowd.sent), PublishOptions{}); err != nil {
						b.Fatal(err)
					}
					crowd.sent++
				}
				crowd.wait()
			}
			b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(b.N*burst*crowd.n), "cpu-ns/delivery")
			b.ReportMetric(each, "B/conn")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the resident memory of the process in bytes.
func resident() int {
	text, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}

// crowd is a process with many subscribers.
type crowd struct {
	testing.TB
	n, sent int
	in      io.Writer
	out     *bufio.Reader
}

func newCrowd(t testing.TB, addr, channel string, n int) *crowd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), "LIVE_CROWD_OF="+fmt.Sprint(addr, " ", channel, " ", n), "LIVE_TOKEN="+token(t, map[string]any{"sub": "42"}))
	c.Stderr = os.Stderr
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	got := &crowd{TB: t, n: n, in: in, out: bufio.NewReader(out)}
	got.expect("ready")
	return got
}

func (c *crowd) expect(word string) {
	c.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != word {
		c.Fatalf("the crowd says %q, %v", line, err)
	}
}

// wait returns when each subscriber has got everything once and in order.
func (c *crowd) wait() {
	fmt.Fprintln(c.in, c.sent)
	c.expect("done")
}

func TestMain(m *testing.M) {
	if of := strings.Fields(os.Getenv("LIVE_CROWD_OF")); len(of) == 3 {
		n, _ := strconv.Atoi(of[2])
		beCrowd(of[0], of[1], n)
		return
	}
	os.Exit(m.Run())
}

// member is a subscriber of the crowd: it counts publications and checks their order.
type member struct {
	total *atomic.Int64
	next  int
	ready chan struct{}
}

func (m *member) Writable(*park.Conn)      {}
func (m *member) Tick(*park.Conn)          {}
func (m *member) Closed(*park.Conn, error) {}

func (m *member) Read(c *park.Conn, b []byte) (used int) {
	if m.ready != nil { // the answer to the handshake
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 && !bytes.HasPrefix(b, []byte{0x81}) && bytes.HasPrefix(b, []byte("HTTP")) {
			used = i + 4
		}
	}
	for {
		rest := b[used:]
		if len(rest) < 2 {
			return used
		}
		size, header := int(rest[1]), 2
		if size == 126 {
			if len(rest) < 4 {
				return used
			}
			size, header = int(binary.BigEndian.Uint16(rest[2:])), 4
		}
		if len(rest) < header+size {
			return used
		}
		m.message(c, rest[header:header+size])
		used += header + size
	}
}

func (m *member) message(c *park.Conn, b []byte) {
	switch {
	case string(b) == "{}":
		_ = c.Write(masked("{}"))
	case bytes.Contains(b, []byte(`"subscribe"`)):
		m.ready <- struct{}{}
		m.ready = nil
	case bytes.Contains(b, []byte(`"pub"`)):
		_, rest, _ := bytes.Cut(b, []byte(`{"n":`))
		number, _, _ := bytes.Cut(rest, []byte(","))
		if n, err := strconv.Atoi(string(number)); err != nil || n != m.next {
			fmt.Printf("publication %s instead of %d\n", number, m.next)
		}
		m.next++
		m.total.Add(1)
	}
}

// masked is a text frame of a client; its mask is zero.
func masked(text string) []byte {
	b := []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}
	if len(text) >= 126 {
		b = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	}
	return append(b, text...)
}

const handshake = "GET /live/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func beCrowd(addr, channel string, n int) {
	e, err := park.New(park.Options{})
	if err != nil {
		panic(err)
	}
	var total atomic.Int64
	ready := make(chan struct{}, n)
	hello := append(append([]byte(handshake), masked(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, os.Getenv("LIVE_TOKEN")))...), masked(fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q}}`, channel))...)
	for i := range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = c.Write(hello)
		if _, err := e.Park(c, nil, &member{total: &total, ready: ready}); err != nil {
			fmt.Println(err)
			return
		}
		if i >= 100 {
			<-ready
		}
	}
	for range min(n, 100) {
		<-ready
	}
	fmt.Println("ready")
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		sent, _ := strconv.ParseInt(commands.Text(), 10, 64)
		for poll := time.Tick(100 * time.Microsecond); total.Load() < sent*int64(n); {
			<-poll
		}
		fmt.Println("done")
	}
}

// BenchmarkIdle measures the CPU for each ping and its pong, and for each client that connects with a token and subscribes.
func BenchmarkIdle(b *testing.B) {
	r := newRig(b, func(c *config.Live) {
		delete(c.Namespaces, "chat")
		delete(c.Namespaces, "cache")
		c.Ping, c.Pong = time.Second, 900*time.Millisecond
	}, nil)
	began := cpu()
	crowd := newCrowd(b, r.addr, "news", crowdOf())
	connecting := cpu() - began
	began, pings := cpu(), r.metrics.commands[verbPong].Load()
	b.ResetTimer()
	for range b.N {
		<-time.After(time.Second)
	}
	answered := r.metrics.commands[verbPong].Load() - pings
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(max(answered, 1)), "cpu-ns/ping")
	b.ReportMetric(float64(connecting.Nanoseconds())/float64(crowd.n), "cpu-ns/connect")
}
