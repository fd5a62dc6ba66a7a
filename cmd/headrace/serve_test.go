package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serve is the script command `serve VERB ARGS...`: it runs the server on free ports until the script ends, waits until it is ready, and sets
// HEADRACE_SERVER and PUBLIC to its addresses and PID to its process. What it writes is in the file server.log. At the end the server is told to stop and must do so with code 0, or that of EXIT.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve VERB ARGS...")
	}
	program := ""
	for _, folder := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(folder, "headrace")); err == nil {
			program = path
			break
		}
	}
	cmd := exec.Command(program, append(args, "--set", "server.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0")...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "NOTIFY_SOCKET"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Setenv("PID", strconv.Itoa(cmd.Process.Pid))
	log, err := os.Create(ts.MkAbs("server.log"))
	ts.Check(err)
	found, done := make(chan [2]string, 1), make(chan struct{})
	var told strings.Builder
	go func() {
		defer close(done)
		defer log.Close()
		var addresses [2]string
		ready := false
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			told.WriteString(lines.Text() + "\n")
			_, _ = log.WriteString(lines.Text() + "\n")
			switch fields := strings.Fields(lines.Text()); {
			case len(fields) >= 2 && fields[0] == "public" && strings.HasPrefix(fields[1], "http:"): // that with TLS is another
				addresses[0] = fields[1]
			case len(fields) == 2 && fields[0] == "admin":
				addresses[1] = fields[1]
			case strings.Contains(lines.Text(), "ready in"):
				ready = true
			}
			if ready && addresses[1] != "" {
				select {
				case found <- addresses:
				default: // told already
				}
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		<-done
		err := cmd.Wait()
		kill.Stop()
		ts.Logf("server:\n%s", told.String())
		if code := ts.Getenv("EXIT"); code == "" || cmd.ProcessState.String() != "exit status "+code {
			ts.Check(err)
		}
	})
	select {
	case addresses := <-found:
		ts.Setenv("PUBLIC", addresses[0])
		ts.Setenv("HEADRACE_SERVER", addresses[1])
	case <-done:
		ts.Fatalf("the server ended:\n%s", told.String())
	case <-time.After(30 * time.Second):
		ts.Fatalf("the server was not ready after 30 s")
	}
}
