// Package notify tells systemd how the service is, by the protocol of sd_notify(3).
package notify

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	Ready    = "READY=1"    // requests are served
	Stopping = "STOPPING=1" // the service ends
)

// sendTime bounds a message: the socket of a manager that hangs may be full.
const sendTime = time.Second

// Main says that another process is the main one of the service from now on, which only the one that was may say.
func Main(pid int) string { return "MAINPID=" + strconv.Itoa(pid) }

// Send tells states to the service manager that has started this process. Without one, in the variable NOTIFY_SOCKET, it does nothing.
func Send(states ...string) (err error) {
	address := os.Getenv("NOTIFY_SOCKET") // a path, or @name of the abstract namespace
	if address == "" {
		return nil
	}
	c, err := net.Dial("unixgram", address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, err = c.Write([]byte(strings.Join(states, "\n")))
	return err
}
