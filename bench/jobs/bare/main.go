// Bare answers every POST once its body is on the disk, and does nothing else: no queue, no functions, no workers, nothing that could be
// asked for later. It has the HTTP library that headrace has, and like headrace syncs in groups. How long its answers take is what the
// machine, the library and the disk leave a server of this kind.
package main

import (
	"log"
	"os"
	"sync"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// group is requests that one sync makes durable.
type group struct {
	bodies []byte
	done   chan struct{}
}

// journal is a file that groups are written to.
type journal struct {
	file *os.File
	wake chan struct{}
	mu   sync.Mutex
	next *group
}

func main() {
	file, err := os.Create("bare.journal")
	if err != nil {
		log.Fatal(err)
	}
	j := &journal{file: file, wake: make(chan struct{}, 1), next: &group{done: make(chan struct{})}}
	go j.write()
	log.Fatal(fasthttp.ListenAndServe("127.0.0.1:"+os.Getenv("BENCH_PORT"), func(c *fasthttp.RequestCtx) {
		j.append(c.PostBody())
		c.SetStatusCode(fasthttp.StatusAccepted)
		c.SetContentType("application/json")
		c.SetBodyString(`{"id":"01K9Z3T5V7X9B1D3F5H7J9M1P3","state":"ready"}`)
	}))
}

// append returns when body is on the disk.
func (j *journal) append(body []byte) {
	j.mu.Lock()
	g := j.next
	g.bodies = append(g.bodies, body...)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	<-g.done
}

func (j *journal) write() {
	for range j.wake {
		j.mu.Lock()
		g := j.next
		j.next = &group{done: make(chan struct{})}
		j.mu.Unlock()
		if _, err := j.file.Write(g.bodies); err != nil {
			log.Fatal(err)
		}
		if err := unix.Fdatasync(int(j.file.Fd())); err != nil {
			log.Fatal(err)
		}
		close(g.done)
	}
}
