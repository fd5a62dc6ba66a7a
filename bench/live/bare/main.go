// Bare sends every publication to everybody who has connected, by one call of the kernel each, and does nothing else: no channels, no
// protocol, no queues, no pings, and it drops what a socket does not take. What a delivery costs here no server can save.
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/websocket"
)

// crowd is the sockets of all who have connected.
type crowd struct {
	mu  sync.Mutex
	fds []int
}

func main() {
	c := &crowd{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if r.Method == http.MethodPost {
			err = c.publish(r)
		} else {
			err = c.join(w, r)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		} else if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, "{}")
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("BENCH_PORT"), handler))
}

// join answers a WebSocket handshake and keeps the socket.
func (c *crowd) join(w http.ResponseWriter, r *http.Request) error {
	accepted, refusal := websocket.Accept(r.Method, r.Header.Get, websocket.Offer{})
	if refusal != nil {
		return refusal
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(accepted.AppendResponse(nil)); err != nil {
		return nil
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil
	}
	return raw.Control(func(fd uintptr) {
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			c.mu.Lock()
			c.fds = append(c.fds, own)
			c.mu.Unlock()
		}
	})
}

func (c *crowd) publish(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	frame := websocket.AppendFrame(nil, websocket.Text, body)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fd := range c.fds {
		_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	}
	return nil
}
