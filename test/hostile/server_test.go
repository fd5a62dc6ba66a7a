package hostile

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	patience = 30 * time.Second // longest that anything may take
	limit    = 2 * time.Second  // header_timeout and idle_timeout of the server
)

// server is headrace as a process.
type server struct {
	dir, public, secure, admin, key string
	cmd                             *exec.Cmd
	ended                           chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

const configuration = `
app: app.py
engine: {data: data, min_free: 1MiB}
admin: {listen: "127.0.0.1:0"}
server:
  listen: "127.0.0.1:0"
  header_timeout: 2s
  idle_timeout: 2s
  max_json: 64KiB
  tls: {listen: "127.0.0.1:0", http3: true, certificates: [{certificate: cert.pem, key: key.pem}]}
pools: {default: {min: 1, max: 1}}
live: {token: {secret: "a secret of these tests only, 32 bytes", audience: hostile}}
upstreams:
  up: {targets: ["http://UPSTREAM"], max_head: 64KiB, timeout: {idle: 2s}}
routes:
  - {match: /*, proxy: up}
  - {match: /admin/*, proxy: up, auth: {key: {}}}
  - {match: /admin, proxy: up, auth: {key: {}}}
  - {match: /*, hosts: [secret.example.com], name: secret host, proxy: up, auth: {key: {}}}
  - {match: /*, hosts: ["*.inner.example.com"], name: inner hosts, proxy: up, auth: {key: {}}}
  - {match: /claims/*, proxy: up, auth: {optional: true, key: {}, headers: {X-User: sub, X-Scopes: scope}}}
  - {match: /cached/*, proxy: up, cache: {ttl: 1m}}
  - {match: /forward/*, proxy: up, auth: {forward: {to: "http://UPSTREAM/redirecting/forward"}}}
  - {match: /small/*, proxy: up, max_body: 1KiB}
  - {match: /static/*, static: files}
  - {match: /bystander, respond: {body: "still here"}}
  - {match: /answer/*, respond: {body: "an answer"}}
  - {match: /echo, call: echo}
`

const app = `
import headrace as hr

app = hr.App()

@app.call()
def echo(text: str = "") -> str:
    return text
`

func start(upstream string) (*server, error) {
	dir, err := os.MkdirTemp("", "headrace-hostile-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err = s.prepare(upstream); err == nil {
		err = s.run()
	}
	if err == nil {
		err = s.ready()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) prepare(upstream string) error {
	if err := os.Mkdir(filepath.Join(s.dir, "files"), 0o700); err != nil {
		return err
	}
	cert, key, err := certificate()
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"headrace.yaml": strings.ReplaceAll(configuration, "UPSTREAM", upstream), "app.py": app, "cert.pem": cert, "key.pem": key,
		"files/page.html": "a page", "files/.hidden": "a secret file", "outside.txt": "a secret file",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return os.Symlink("../outside.txt", filepath.Join(s.dir, "files", "link.txt"))
}

func certificate() (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), nil
}

var told = regexp.MustCompile(`^\s*(public|admin)\s+(https?://)(\S+)`)

// run starts the process and reads its addresses.
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
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, in, in
	err = s.cmd.Start()
	in.Close()
	if err != nil {
		return err
	}
	s.ended = make(chan struct{})
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		addresses := map[string]*string{"publichttp://": &s.public, "publichttps://": &s.secure, "adminhttp://": &s.admin}
		for lines.Scan() {
			s.mu.Lock()
			fmt.Fprintln(&s.log, lines.Text())
			if m := told.FindStringSubmatch(lines.Text()); m != nil && addresses[m[1]+m[2]] != nil {
				*addresses[m[1]+m[2]] = m[3]
				if delete(addresses, m[1]+m[2]); len(addresses) == 0 {
					close(ready)
				}
			}
			s.mu.Unlock()
		}
	}()
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	select {
	case <-ready:
		return nil
	case <-s.ended:
		return fmt.Errorf("headrace ended: %s", s.tail())
	case <-time.After(patience):
		return fmt.Errorf("headrace told no addresses: %s", s.tail())
	}
}

// ready waits until it serves, with its worker, and makes an API key.
func (s *server) ready() error {
	for deadline := time.Now().Add(patience); ; {
		answer, err := http.Post("http://"+s.public+"/echo", "application/json", strings.NewReader(`{"text":"hello"}`))
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("headrace is not ready: %v %v\n%s", answer, err, s.tail())
		}
		<-time.After(50 * time.Millisecond)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	binary, _ := filepath.Abs(os.Getenv("HEADRACE_BIN"))
	c := exec.Command(binary, "key", "create", "--owner", "ann", "--server", "http://"+s.admin)
	c.Dir = s.dir
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("key create: %v: %s", err, err.(*exec.ExitError).Stderr)
	}
	s.key = strings.TrimSpace(string(out))
	return nil
}

func (s *server) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.log.String()
	return text[max(0, len(text)-4000):]
}

func (s *server) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *server) close() {
	if s.ended != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(patience):
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
	}
	_ = os.RemoveAll(s.dir)
}

// figures are what the process says of itself.
type figures struct {
	open, goroutines float64
	memory, peak     int64 // bytes
}

func (s *server) figures() (f figures) {
	f.open, f.goroutines = -1, -1
	answer, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return f
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	f.open, f.goroutines = figure(text, "headrace_edge_connections_open"), figure(text, "go_goroutines")
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	f.memory, f.peak = int64(figure(status, "VmRSS:"))<<10, int64(figure(status, "VmHWM:"))<<10
	return f
}

func figure(text []byte, name string) float64 {
	m := regexp.MustCompile(`(?m)^` + name + `\s+(\S+)`).FindSubmatch(text)
	if m == nil {
		return -1
	}
	v, _ := strconv.ParseFloat(string(m[1]), 64)
	return v
}

// settle waits until connections and goroutines are what they were, as long as it may take: the pool of fasthttp keeps idle ones for up to 20 s.
func (s *server) settle(before figures) (now figures) {
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		now = s.figures()
		if now.open == before.open && now.goroutines <= before.goroutines+spare || time.Now().After(deadline) {
			return now
		}
	}
}

// bystander asks all the time, like a client that has nothing to do with what happens.
type bystander struct {
	quit chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	failed int
	why    error
}

func newBystander(address string) *bystander {
	b := &bystander{quit: make(chan struct{})}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	b.done.Go(func() {
		defer client.CloseIdleConnections()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-b.quit:
				return
			case <-tick.C:
			}
			began := time.Now()
			answer, err := client.Get("http://" + address + "/bystander")
			if err == nil {
				var body []byte
				body, err = io.ReadAll(answer.Body)
				answer.Body.Close()
				if string(body) != "still here" {
					err = fmt.Errorf("%s: %q", answer.Status, body)
				}
			}
			b.mu.Lock()
			if took := time.Since(began); took > 300*time.Millisecond {
				fmt.Printf("a bystander waited %v, from %s\n", took, began.Format("15:04:05.000"))
			}
			b.took = append(b.took, time.Since(began))
			if err != nil {
				b.failed, b.why = b.failed+1, err
			}
			b.mu.Unlock()
		}
	})
	return b
}

func (b *bystander) stop() (asked, failed int, slowest time.Duration) {
	close(b.quit)
	b.done.Wait()
	for _, d := range b.took {
		slowest = max(slowest, d)
	}
	return len(b.took), b.failed, slowest
}

// mark is where the list of answers is now; since are the times of those after it.
func (b *bystander) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.took)
}

func (b *bystander) since(mark int) []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Duration(nil), b.took[mark:]...)
}

// canary is an address that nobody may be led to.
type canary struct {
	net.Listener
	mu sync.Mutex
	n  int
}

func newCanary() (*canary, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &canary{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
			c.mu.Lock()
			c.n++
			c.mu.Unlock()
		}
	}()
	return c, nil
}

func (c *canary) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
