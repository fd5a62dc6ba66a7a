package park

import (
	"net"
	"runtime"
	"sync"
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

// BenchmarkIdle reports the memory of a parked connection that has a timer: the Go heap and stacks, not the kernel's.
func BenchmarkIdle(b *testing.B) {
	const n = 4000
	r := start(b, "tcp")
	var clients []net.Conn
	var conns []*Conn
	used := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	park := func(count int) {
		for range count {
			client, err := net.Dial("tcp", r.listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			server, err := r.listener.Accept()
			if err != nil {
				b.Fatal(err)
			}
			c, err := r.Park(server, nil, nothing{})
			if err != nil {
				b.Fatal(err)
			}
			c.Wake(time.Minute)
			raw, _ := client.(*net.TCPConn).File() // so that the client's end costs the heap nothing that grows
			fd, _ := syscall.Dup(int(raw.Fd()))
			raw.Close()
			client.Close()
			defer syscall.Close(fd)
			conns = append(conns, c)
		}
	}
	conns = make([]*Conn, 0, 2*n)
	park(100)
	before := used()
	park(n)
	b.ReportMetric((used()-before)/n, "B/conn")
	for b.Loop() {
	}
	runtime.KeepAlive(clients)
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

// BenchmarkFan writes 128 bytes to each of 1,000 connections by turns; nobody reads until the end of a batch.
func BenchmarkFan(b *testing.B) {
	const n, rounds = 1000, 50
	r := start(b, "tcp")
	var conns []*Conn
	var clients []net.Conn
	for range n {
		client, c := r.pair(nothing{})
		client.SetDeadline(time.Time{})
		conns = append(conns, c)
		clients = append(clients, client)
	}
	message := make([]byte, 128)
	buffer := make([]byte, 64<<10)
	var spent time.Duration
	writes := 0
	for b.Loop() {
		began := cpu()
		for range rounds {
			for _, c := range conns {
				if err := c.Write(message); err != nil {
					b.Fatal(err)
				}
			}
		}
		spent += cpu() - began
		writes += n * rounds
		for _, c := range clients {
			for got := 0; got < rounds*len(message); {
				k, err := c.Read(buffer)
				if err != nil {
					b.Fatal(err)
				}
				got += k
			}
		}
	}
	b.ReportMetric(float64(spent)/float64(writes), "cpu-ns/write")
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
