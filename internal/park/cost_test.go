package park

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// nothing is a Handler without state, so that only the engine's memory is counted.
type nothing struct{}

func (nothing) Read(_ *Conn, b []byte) int { return len(b) }
func (nothing) Writable(*Conn)             {}
func (nothing) Tick(*Conn)                 {}
func (nothing) Closed(*Conn, error)        {}

// bare makes a client a mere descriptor, which costs this process no memory and no events.
func (b *bench) bare(client *net.TCPConn) int {
	file, err := client.File()
	if err != nil {
		b.Fatal(err)
	}
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		b.Fatal(err)
	}
	file.Close()
	client.Close()
	b.peers = append(b.peers, fd)
	return fd
}

func (b *bench) peer(h Handler) (int, *Conn) {
	client, c, err := b.dial(h)
	if err != nil {
		b.Fatal(err)
	}
	return b.bare(client), c
}

// BenchmarkIdle reports the memory of a parked connection that has a timer: the Go heap and stacks, not the kernel's.
func BenchmarkIdle(b *testing.B) {
	const n = 4000
	r := start(b, "tcp")
	conns := make([]*Conn, 0, n)
	r.peers = make([]int, 0, n)
	used := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	park := func(count int) {
		for range count {
			_, c := r.peer(nothing{})
			c.Wake(time.Minute)
			conns = append(conns, c)
		}
	}
	park(100)
	before := used()
	park(n - 100)
	after := used()
	for b.Loop() {
	}
	b.ReportMetric((after-before)/(n-100), "B/conn")
	runtime.KeepAlive(conns)
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWrite is one Write of 128 bytes; what it measures besides is the kernel bringing them to the peer's socket.
func BenchmarkWrite(b *testing.B) {
	r := start(b, "tcp")
	client, c := r.pair(nothing{})
	client.SetDeadline(time.Time{})
	go func() {
		buffer := make([]byte, 1<<20)
		for {
			if _, err := client.Read(buffer); err != nil {
				return
			}
		}
	}()
	message := make([]byte, 128)
	before := cpu()
	for b.Loop() {
		for c.Write(message) == ErrBlocked {
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkFan writes 128 bytes to each of 1,000 connections by turns, and does the same with Go's own connections.
func BenchmarkFan(b *testing.B) {
	const n = 1000
	r := start(b, "tcp")
	writes, peers := make([]func([]byte) error, n), make([]int, n)
	for i := range n {
		fd, c := r.peer(nothing{})
		writes[i], peers[i] = c.Write, fd
	}
	b.Run("park", func(b *testing.B) { fan(b, writes, peers) })
	for i := range n {
		client, err := net.Dial("tcp", r.listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := r.listener.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer server.Close()
		peers[i] = r.bare(client.(*net.TCPConn))
		writes[i] = func(b []byte) error { _, err := server.Write(b); return err }
	}
	b.Run("net", func(b *testing.B) { fan(b, writes, peers) })
}

func fan(b *testing.B, writes []func([]byte) error, peers []int) {
	const rounds = 20
	message := make([]byte, 128)
	buffer := make([]byte, 64<<10)
	var spent time.Duration
	count := 0
	for b.Loop() {
		began := cpu()
		for range rounds {
			for _, write := range writes {
				if err := write(message); err != nil {
					b.Fatal(err)
				}
			}
		}
		spent += cpu() - began
		count += rounds * len(writes)
		for _, fd := range peers {
			for got := 0; got < rounds*len(message); {
				k, err := syscall.Read(fd, buffer)
				if err != nil {
					b.Fatal(err)
				}
				got += k
			}
		}
	}
	b.ReportMetric(float64(spent)/float64(count), "cpu-ns/write")
}

// pong answers each byte with a byte.
type pong struct{ nothing }

func (pong) Read(c *Conn, b []byte) int { c.Write(b); return len(b) }

// BenchmarkPingPong is a round trip over each of 64 connections at once; the client's half of it is in the figure.
func BenchmarkPingPong(b *testing.B) {
	const n = 64
	r := start(b, "tcp")
	var clients []net.Conn
	for range n {
		client, _ := r.pair(pong{})
		client.SetDeadline(time.Time{})
		clients = append(clients, client)
	}
	before := cpu()
	rounds := 0
	for b.Loop() {
		rounds++
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var one [16]byte
				c.Write(one[:])
				c.Read(one[:])
			}()
		}
		wg.Wait()
	}
	b.ReportMetric(float64(cpu()-before)/float64(rounds*n), "cpu-ns/roundtrip")
}

// pinger writes a ping whenever it ticks.
type pinger struct {
	nothing
	ticks *atomic.Int64
}

func (p pinger) Tick(c *Conn) {
	p.ticks.Add(1)
	c.Write([]byte{0x89, 0})
	c.Wake(resolution)
}

// BenchmarkPing is a timer that fires, the Write of a ping, and the timer set again. 1,000 connections with a ping every 25 s do 40 of
// them a second.
func BenchmarkPing(b *testing.B) {
	r := start(b, "tcp")
	var ticks atomic.Int64
	for range 1000 {
		_, c := r.peer(pinger{ticks: &ticks})
		c.Wake(resolution)
	}
	spent, seen := cpu(), ticks.Load()
	for b.Loop() {
		for before := ticks.Load(); ticks.Load() == before; {
			<-time.After(resolution / 4)
		}
	}
	b.ReportMetric(float64(cpu()-spent)/float64(ticks.Load()-seen), "cpu-ns/ping")
}
