package handover

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

const patience = 30 * time.Second

// TestSuccessorFails has successors of which each fails in a way of its own after it was ready. Connections wait all the time.
func TestSuccessorFails(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"dies":    {`kill -9 $$`, "it ended: signal: killed"},
		"ends":    {`exit 3`, "it ended: exit status 3"},
		"tells":   {`echo "failed no such folder" >&3; exec sleep 600`, "no such folder"},
		"hangs":   {`exec sleep 600`, context.DeadlineExceeded.Error()},
		"strange": {`echo what >&3; exit 4`, "it ended: exit status 4"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Sockets{}
			l, err := s.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			held, err := s.Hold()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			n, err := Start(ctx, "/bin/sh", []string{"sh", "-c", `echo ready >&3; read word <&3; [ "$word" = released ] || exit 9; ` + c.script}, os.Environ(), held)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			serving, end := context.WithTimeout(ctx, time.Second)
			defer end()
			if err := n.Serve(serving); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v instead of %s", err, c.want)
			}
			select {
			case <-n.ended:
			default:
				t.Error("it runs")
			}
			waiting, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal("a connection is refused: ", err)
			}
			_ = waiting.Close()
			held.Close()
			if waiting, err = net.Dial("tcp", l.Addr().String()); err == nil {
				_ = waiting.Close()
				t.Error("the socket is still held")
			}
		})
	}
}

// TestNotReady leaves everything as it was.
func TestNotReady(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if n, err := Start(ctx, "/bin/sh", []string{"sh", "-c", "exec sleep 600"}, nil, &Held{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v %v", n, err)
	}
	if _, err := Start(t.Context(), "/bin/sh", []string{"sh", "-c", "exit 2"}, nil, &Held{}); err == nil || !strings.Contains(err.Error(), "exit status 2") {
		t.Error(err)
	}
	if _, err := Start(t.Context(), "/no/such/program", nil, nil, &Held{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestRestore starts this program, which gets what is more than a pipe holds.
func TestRestore(t *testing.T) {
	text := strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 1000)
	if os.Getenv("RESTORED") != "" {
		_, p, err := Inherit()
		if err != nil || p == nil || p.Former == nil || p.Former.Why != "a\nreason" || p.Former.Texts[0] != (config.Text{Path: "headrace.yaml", Text: text}) {
			os.Exit(5)
		}
		if err := p.Await(t.Context()); err != nil {
			os.Exit(6)
		}
		p.Serving()
		os.Exit(0)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := Restore(ctx, []string{os.Args[0], "-test.run=^TestRestore$"}, append(os.Environ(), "RESTORED=1"), &Held{}, &Former{"a\nreason", []config.Text{{Path: "headrace.yaml", Text: text}}})
	if err != nil {
		t.Fatal(err)
	}
	<-n.ended
	if !strings.Contains(n.how.Error(), "exit status 0") {
		t.Error(n.how)
	}
}
