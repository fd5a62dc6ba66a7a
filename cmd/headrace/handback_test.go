package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// handback is the script command `handback`: three times the process that is to take the place of another fails after the other has let go of
// the data folder, for what is new in the configuration, in the program, and in the app. The former program serves again, no request fails, one
// that is long under way ends well, and the service manager knows who is the main process.
func handback(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: handback")
	}
	address, release := slow(ts)
	program := ownProgram(ts)
	told := manager(ts)
	configuration := "app: app.py\npools: {default: {min: 1, max: 1}}\nroutes: [{match: /*, proxy: \"" + address + "\"}]\n"
	write(ts, "headrace.yaml", configuration)
	write(ts, "app.py", "from headrace import App\napp = App()\n")
	serve(ts, false, []string{"run"})
	hears(ts, told, "READY=1")

	pid, crowd, finish := busy(ts, release)
	back := func(number int, why string) {
		ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
		pid = successor(ts, restored, number)
		ts.Defer(func() { _ = syscall.Kill(pid, syscall.SIGTERM) })
		crowd.answered(ts, 100)
		hears(ts, told, fmt.Sprintf("MAINPID=%d\nREADY=1", pid))
		text, err := os.ReadFile(ts.MkAbs("server.log"))
		ts.Check(err)
		if line := mentions(string(text), "the next process does not serve", number); !strings.Contains(line, why) {
			ts.Fatalf("%q instead of %s", line, why)
		}
		if conditions := fetch(ts, ts.Getenv("HEADRACE_SERVER")+"/readyz"); !strings.Contains(conditions, "handover-failed") || !strings.Contains(conditions, why) {
			ts.Fatalf("conditions: %s", conditions)
		}
	}

	ts.Check(os.Mkdir(ts.MkAbs("newer"), 0o700))
	write(ts, "newer/format", "99\n")
	write(ts, "headrace.yaml", configuration+"engine: {data: newer}\n")
	back(0, "data folder has format 99")

	write(ts, "headrace.yaml", configuration)
	write(ts, "bin/new", "#!/bin/bash\nexec -a headrace '"+program+".kept' \"$@\" --set server.listen="+strings.TrimPrefix(address, "http://")+"\n")
	ts.Check(os.Chmod(ts.MkAbs("bin/new"), 0o700))
	ts.Check(os.Rename(ts.MkAbs("bin/new"), program))
	back(1, "address already in use")

	ts.Check(os.Rename(program+".kept", program))
	write(ts, "app.py", "import this_is_not_there\n")
	back(2, "this_is_not_there")
	if conditions := fetch(ts, ts.Getenv("HEADRACE_SERVER")+"/readyz"); !strings.Contains(conditions, "pool-missing") {
		ts.Fatalf("conditions: %s", conditions)
	}

	write(ts, "app.py", "from headrace import App\napp = App()\n")
	ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
	pid = successor(ts, handed, 0)
	hears(ts, told, fmt.Sprintf("MAINPID=%d\nREADY=1", pid))
	crowd.answered(ts, 100)
	if conditions := fetch(ts, ts.Getenv("HEADRACE_SERVER")+"/readyz"); strings.Contains(conditions, "handover-failed") {
		ts.Fatalf("conditions: %s", conditions)
	}
	finish()
}

// handlost is the script command `handlost`: neither the next program nor the former one can open the data folder, and the process ends with
// an error although a request is under way.
func handlost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: handlost")
	}
	address, _ := slow(ts)
	write(ts, "headrace.yaml", "routes: [{match: /*, proxy: \""+address+"\"}]\n")
	ts.Setenv("EXIT", "1")
	serve(ts, false, []string{"run"})
	long, err := http.Get(ts.Getenv("PUBLIC") + "/long")
	ts.Check(err)
	defer long.Body.Close()
	write(ts, "headrace-data/format", "99\n")
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
	until(ts, "the error", func() bool {
		text, _ := os.ReadFile(ts.MkAbs("server.log"))
		return strings.Contains(string(text), "HR5010")
	})
}

// slow is an upstream that answers at once, but for /long, whose answer ends when release is called.
func slow(ts *testscript.TestScript) (address string, release func()) {
	over := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write([]byte("begun "))
			w.(http.Flusher).Flush()
			<-over
		}
		_, _ = w.Write([]byte("ended"))
	}))
	release = sync.OnceFunc(func() { close(over) })
	ts.Defer(upstream.Close)
	ts.Defer(release)
	return upstream.URL, release
}

// ownProgram puts headrace into a folder of the script, where it can be replaced. It is there by another name as well.
func ownProgram(ts *testscript.TestScript) string {
	ts.Check(os.Mkdir(ts.MkAbs("bin"), 0o700))
	program := ts.MkAbs("bin/headrace")
	self, err := os.Executable()
	ts.Check(err)
	from, err := os.Open(self)
	ts.Check(err)
	defer from.Close()
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o700)
	ts.Check(err)
	_, err = io.Copy(to, from)
	ts.Check(err)
	ts.Check(to.Close())
	ts.Check(os.Link(program, program+".kept"))
	ts.Setenv("PATH", ts.MkAbs("bin")+string(filepath.ListSeparator)+ts.Getenv("PATH"))
	return program
}

// manager is what systemd is for headrace: a socket that takes what it tells.
func manager(ts *testscript.TestScript) *net.UnixConn {
	folder, err := os.MkdirTemp("", "headrace-notify-") // short enough for a socket
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(folder) })
	name := filepath.Join(folder, "socket")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	ts.Setenv("NOTIFY_SOCKET", name)
	return c
}

func hears(ts *testscript.TestScript, c *net.UnixConn, want string) {
	ts.Check(c.SetReadDeadline(time.Now().Add(60 * time.Second)))
	b := make([]byte, 200)
	n, err := c.Read(b)
	if ts.Check(err); string(b[:n]) != want {
		ts.Fatalf("the service manager is told %q instead of %q", b[:n], want)
	}
}

// mentions is the line of this number that has a text.
func mentions(text, part string, number int) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			if number--; number < 0 {
				return line
			}
		}
	}
	return ""
}

func write(ts *testscript.TestScript, name, text string) {
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
}

func fetch(ts *testscript.TestScript, address string) string {
	answer, err := http.Get(address)
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	return string(body)
}
