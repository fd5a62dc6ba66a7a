package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 30 * time.Second // longest that anything may take
	secret   = "a secret of the live tests only, 32 bytes"
	audience = "live-test"
)

// defaults is the section live of most tests.
const defaults = `
  token: {secret: "` + secret + `", audience: ` + audience + `}
  ping: 4s
  pong: 2s
  auth_timeout: 1500ms
  commands_per_second: 5000
  shutdown_window: 300ms
  max_channels: 200
  rpc: [greet]
  namespaces:
    chat: {history: {size: 10000, age: 1h}, presence: true, join_leave: true, delta: true, subscribe: "true", publish: "true", see_presence: "true", see_history: "true"}
    cache: {history: {size: 10, age: 1h}, recovery: cache, subscribe: "true", publish: "true"}
    plain: {subscribe: "true", publish: "true", presence: true, see_presence: "true"}
    news: {subscribe: "true", history: {size: 10, age: 1h}}
    mine: {subscribe: id == user, publish: claims.role == "editor"}
    private: {subscription_token: true, presence: true, see_presence: "true"}
    small: {subscribe: "true", publish: "true", max_publication: 1KiB, publications_per_second: 5, max_subscribers: 2}
    slowest: {subscribe: "true", publish: "true", slow: drop_oldest}
    latest: {subscribe: "true", publish: "true", slow: latest_per_key}
    resync: {history: {size: 10000, age: 1h}, subscribe: "true", publish: "true", slow: resync}
    asked: {history: {size: 100, age: 1h}, presence: true, see_presence: "true"}
`

// server is headrace as a process, on addresses and data that a restart keeps.
type server struct {
	dir, public, admin string
	env                []string
	cmd                *exec.Cmd
	ended              chan struct{}
	mu                 sync.Mutex
	log                bytes.Buffer
}

// start runs headrace with a section live until the test ends.
func start(t testing.TB, section string, env ...string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "headrace-live-")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, public: "127.0.0.1:0", admin: "127.0.0.1:0", env: env}
	app, err := os.ReadFile("app.py")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "app.py"), app, 0o600)
	}
	if err == nil {
		s.configure(section)
		err = s.run()
	}
	if err != nil {
		s.close()
		t.Fatal(err)
	}
	if _, whole := t.(suite); !whole {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("headrace:\n%s", s.tail())
			}
			s.close()
		})
	}
	return s
}

func (s *server) configure(section string) {
	text := fmt.Sprintf("app: app.py\nengine: {data: data, min_free: 1MiB}\nserver: {listen: %q}\nadmin: {listen: %q}\npools: {default: {min: 1, max: 2}}\nlive:%s",
		s.public, s.admin, section)
	if err := os.WriteFile(filepath.Join(s.dir, "headrace.yaml"), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

var told = regexp.MustCompile(`^\s*(public|admin)\s+http://(\S+)`)

// run starts the process and waits until it is ready.
func (s *server) run() error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	binary, err := filepath.Abs(os.Getenv("HEADRACE_BIN"))
	if err != nil {
		return err
	}
	s.cmd = exec.Command(binary, "run", "--config", "headrace.yaml")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr, s.cmd.Env = s.dir, in, in, append(os.Environ(), s.env...)
	err = s.cmd.Start()
	in.Close()
	if err != nil {
		return err
	}
	cmd, ended, ready := s.cmd, make(chan struct{}), make(chan struct{})
	s.ended = ended
	go func() {
		lines := bufio.NewScanner(out)
		seen := 0
		for lines.Scan() {
			s.mu.Lock()
			fmt.Fprintln(&s.log, lines.Text())
			if m := told.FindStringSubmatch(lines.Text()); m != nil {
				if seen++; m[1] == "public" {
					s.public = m[2]
				} else {
					s.admin = m[2]
				}
				if seen == 2 {
					close(ready)
				}
			}
			s.mu.Unlock()
		}
	}()
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ready:
	case <-ended:
		return fmt.Errorf("headrace ended: %s", s.tail())
	case <-time.After(patience):
		return fmt.Errorf("headrace told no addresses: %s", s.tail())
	}
	// the same addresses from now on
	file := filepath.Join(s.dir, "headrace.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.SplitN(string(text), "\n", 6)
	lines[2], lines[3] = fmt.Sprintf("server: {listen: %q}", s.public), fmt.Sprintf("admin: {listen: %q}", s.admin)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		answer, err := http.Get("http://" + s.admin + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("headrace is not ready: %v\n%s", err, s.tail())
		}
	}
}

func (s *server) url(path string) string { return "ws://" + s.public + "/live" + path }

func (s *server) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.log.String()
	return text[max(0, len(text)-4000):]
}

func (s *server) logged(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.log.String(), text)
}

// end sends a signal and waits for the end of the process.
func (s *server) end(signal syscall.Signal) {
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

func (s *server) close() {
	if s.ended != nil {
		s.end(syscall.SIGTERM)
	}
	_ = os.RemoveAll(s.dir)
}

// post calls a route of the app.
func (s *server) post(t testing.TB, path string, body any) (answer struct{ ID, Follow string }) {
	t.Helper()
	text, _ := json.Marshal(body)
	r, err := http.Post("http://"+s.public+path, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode > 202 && r.StatusCode != 204 {
		t.Fatalf("POST %s: %s", path, r.Status)
	}
	_ = json.NewDecoder(r.Body).Decode(&answer) // an answer may have no body
	return answer
}

// suite is what outlives a test.
type suite struct{ testing.TB }

var common struct {
	sync.Once
	*server
}

// shared is the server of all tests that neither end nor configure it.
func shared(t testing.TB) *server {
	t.Helper()
	common.Do(func() { common.server = start(suite{t}, defaults) })
	if common.server == nil {
		t.Fatal("the server did not start")
	}
	return common.server
}

func TestMain(m *testing.M) {
	if os.Getenv("HEADRACE_BIN") == "" {
		fmt.Println("HEADRACE_BIN names no binary: make test/live runs these tests")
		return
	}
	code := m.Run()
	if common.server != nil {
		if left := common.left(); left != "" {
			fmt.Printf("FAIL: after all tests headrace still has\n%s", left)
			code = 1
		}
		if code != 0 {
			fmt.Println(common.tail())
		}
		common.close()
	}
	os.Exit(code)
}

var gauge = regexp.MustCompile(`(?m)^headrace_live_(connections|subscriptions|channels|queued_bytes)(\{.*\})? [^0].*\n`)

// left is what the server has of clients that are all gone; empty unless it stays.
func (s *server) left() (left string) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		answer, err := http.Get("http://" + s.admin + "/metrics")
		if err != nil {
			return err.Error()
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if left = strings.Join(gauge.FindAllString(string(text), -1), ""); err != nil || left == "" && !bytes.Contains(text, []byte("headrace_live_subscriptions 0")) {
			return fmt.Sprintf("no metrics of the live plane: %v\n", err)
		}
		if left == "" {
			return ""
		}
	}
	return left
}

// script runs a test script with the address of a server; its output is shown when it fails.
func script(t *testing.T, s *server, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Env = append(os.Environ(), "LIVE_SERVER="+s.public, "LIVE_SECRET="+secret, "LIVE_AUDIENCE="+audience)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	t.Logf("%s", out)
}

func TestNode(t *testing.T) {
	t.Parallel()
	script(t, shared(t), "node", "--test", "--test-reporter=spec", "--test-timeout=60000", "client.test.js")
}

func TestPython(t *testing.T) {
	t.Parallel()
	script(t, shared(t), "../../build/live-venv/bin/python", "client_test.py")
}

// proxy stands between a client and the server so that a test can cut the line.
type proxy struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = a.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, a, b)
			p.mu.Unlock()
			go pump(a, b)
			go pump(b, a)
		}
	}()
	return p
}

func pump(to, from net.Conn) {
	_, _ = bufio.NewReader(from).WriteTo(to)
	_ = to.Close()
}

// cut breaks all connections, without a word to either side.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	p.conns = nil
}
