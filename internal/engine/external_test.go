package engine

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// build makes a real nats-server from the module, once for all tests.
var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "nats-server-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "nats-server")
	out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if built {
		if program, err := build(); err == nil {
			_ = os.RemoveAll(filepath.Dir(program))
		}
	}
	os.Exit(status)
}

var built bool

// natsServer is a process of its own.
type natsServer struct {
	t    *testing.T
	args []string
	url  string
	cmd  *exec.Cmd
}

func startServer(t *testing.T, jetstream, config string) *natsServer {
	t.Helper()
	built = true
	program, err := build()
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	folder := t.TempDir()
	file := filepath.Join(folder, "nats.conf")
	must(t, os.WriteFile(file, []byte("listen: "+address+"\njetstream {\nstore_dir: \""+folder+"\"\n"+jetstream+"\n}\n"+config), 0o600))
	s := &natsServer{t: t, args: []string{program, "-c", file}, url: "nats://" + address}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	must(s.t, s.cmd.Start())
	poll(s.t, "server listens", func() bool {
		conn, err := nats.Connect(s.url)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

func (s *natsServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// poll waits for something to become true.
func poll(t *testing.T, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ready() {
			return
		}
	}
	t.Fatal("never: " + what)
}

func TestExternal(t *testing.T) {
	srv := startServer(t, "", "")
	e := open(t, Config{URL: srv.url})
	if e.Durability() != "external" {
		t.Fatal(e.Durability())
	}
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	_, err = js.Publish(t.Context(), "orders.1", []byte("before"))
	must(t, err)
	must(t, e.Commit(t.Context(), "ORDERS"))

	srv.kill()
	poll(t, "loss is seen", func() bool { return !e.Health()[2].OK })
	_, err = js.Publish(t.Context(), "orders.1", nil)
	if err == nil {
		t.Fatal("published without a server")
	}
	late, err := e.Connect("late")
	must(t, err)
	defer late.Close()
	srv.start()
	poll(t, "engine is back", func() bool { return e.Health()[2].OK && late.IsConnected() })
	poll(t, "the plane's connection is back", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "orders.1", []byte("after"))
		return err == nil
	})
	stream, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	if first, err := stream.GetMsg(t.Context(), 1); err != nil || string(first.Data) != "before" {
		t.Fatal(first, err)
	}
}

// Only the system account may ask a server for its settings, unless it exports the question as here.
const mayAsk = `
accounts {
	SYS: {exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream}]}
	APP: {jetstream: enabled, users: [{user: app, password: app}], imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]}
}
system_account: SYS
no_auth_user: app
`

func TestExternalDurability(t *testing.T) {
	for _, test := range []struct {
		name, jetstream, config string
		replicas                int
		want                    Durability
	}{
		{"syncs always", "sync_interval: always", mayAsk, 1, Fsync},
		{"syncs later", "", mayAsk, 1, External},
		{"does not tell", "sync_interval: always", "", 1, External},
		{"replicas", "", "", 3, Replicated},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := startServer(t, test.jetstream, test.config)
			e := open(t, Config{URL: srv.url, Replicas: test.replicas})
			if e.Durability() != string(test.want) {
				t.Fatalf("%s, want %s", e.Durability(), test.want)
			}
		})
	}
}

func TestExternalThatIsNotThere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := Open(ctx, Config{Data: t.TempDir(), URL: "nats://127.0.0.1:1"}, nil)
	wantCode(t, err, "HR5005")
}
