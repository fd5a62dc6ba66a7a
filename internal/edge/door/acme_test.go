package door

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ports "github.com/headrace/headrace/bench/rig"
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
)

// pebble is an authority for ACME.
type pebble struct {
	t         *testing.T
	authority *authority // of its own address
	folder    string
	directory string
	manage    string
	orders    atomic.Int64
}

// free is a port that is free now.
func free(t *testing.T) int {
	port, err := strconv.Atoi(ports.Port(ports.FreeAddr()))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// startPebble lets it reach http-01 and tls-alpn-01 at the two ports; its certificates are valid for so many seconds.
func startPebble(t *testing.T, plain, secure, seconds int) *pebble {
	for _, name := range []string{"pebble", "pebble-challtestsrv"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed; it is in the package pebble of Debian", name)
		}
	}
	p := &pebble{t: t, authority: newAuthority(t), folder: t.TempDir()}
	cert, key := p.authority.write(t, p.folder, "pebble", "localhost", "127.0.0.1")
	writePEM(t, p.folder+"/ca.pem", "CERTIFICATE", p.authority.cert.Raw)
	listen, manage, names := free(t), free(t), free(t)
	p.directory = fmt.Sprintf("https://127.0.0.1:%d/dir", listen)
	p.manage = fmt.Sprintf("https://127.0.0.1:%d", manage)
	settings, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", listen), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate": cert, "privateKey": key, "httpPort": plain, "tlsPort": secure, "ocspResponderURL": "", "certificateValidityPeriod": seconds,
	}})
	file := filepath.Join(p.folder, "pebble.json")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	dns := fmt.Sprintf("127.0.0.1:%d", names)
	p.run("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", dns, "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", fmt.Sprintf("127.0.0.1:%d", free(t)))
	p.run("pebble", "-config", file, "-dnsserver", dns)
	for end := time.Now().Add(20 * time.Second); ; {
		if resp, err := p.client().Get(p.directory); err == nil {
			resp.Body.Close()
			return p
		}
		if time.Now().After(end) {
			t.Fatal("pebble does not answer")
		}
		wait(t, time.After(50*time.Millisecond))
	}
}

// run starts a program and ends it with the test.
func (p *pebble) run(name string, args ...string) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "POST /order-plz") {
				p.orders.Add(1)
			}
			if testing.Verbose() {
				fmt.Println(name, lines.Text())
			}
		}
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
}

func (p *pebble) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.authority.pool}}, Timeout: 5 * time.Second}
}

// roots are what its certificates lead to.
func (p *pebble) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, path := range []string{"/roots/0", "/intermediates/0"} {
		resp, err := p.client().Get(p.manage + path)
		if err != nil {
			p.t.Fatal(err)
		}
		pem, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		pool.AppendCertsFromPEM(pem)
	}
	return pool
}

// given are sockets that were opened before.
type given map[string]net.Listener

func (g given) Listen(_, address string) (net.Listener, error) { return g[address], nil }
func (g given) ListenPacket(string, string) (net.PacketConn, error) {
	return nil, errors.New("there is none")
}

func listenAt(t *testing.T, address string) net.Listener {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// acmeRig is doors that get their certificates from pebble, with an engine at data.
type acmeRig struct {
	*Doors
	engine *engine.Engine
	t      *testing.T
	host   string
}

// startACME asks for a certificate of a host that the challenge alone asks for: certmagic keeps the challenges of a process by their names, and two
// that are under way for one name at the same time get the answer of the other.
func startACME(t *testing.T, p *pebble, data string, plain, secure net.Listener, challenge string) *acmeRig {
	host := challenge + ".example.com"
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := engine.Open(context.Background(), engine.Config{Data: data, Durability: engine.Fsync, MinFree: -1}, log)
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Server.Listen, c.Server.TLS = "plain", &config.TLS{Listen: "secure", MinVersion: "1.2", ClientAuth: "none", Redirect: true, ACME: &config.ACME{
		Hosts: []string{host}, Email: "ops@example.com", Directory: p.directory, CA: p.folder + "/ca.pem", KeyType: "p256", Challenges: []string{challenge}, RenewInterval: time.Second,
	}}
	d := New(Options{Config: c, Engine: e, Log: log, Sockets: given{"plain": plain, "secure": secure}, Exchange: exchange.Options{
		Plane: "edge", Log: log, Admit: func(*exchange.Request) error { return nil }, Serve: func(*exchange.Request) error { return nil },
	}})
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &acmeRig{d, e, t, host}
}

func (r *acmeRig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		r.t.Error(err)
	}
	if err := r.engine.Stop(ctx); err != nil {
		r.t.Error(err)
	}
}

// serial waits until a certificate other than but is served, and returns its number.
func (r *acmeRig) serial(roots *x509.CertPool, but string) string {
	r.t.Helper()
	var err error
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); {
		var c *tls.Conn
		c, err = tls.Dial("tcp", r.SecureAddr().String(), &tls.Config{RootCAs: roots, ServerName: r.host})
		if err == nil {
			serial := c.ConnectionState().PeerCertificates[0].SerialNumber.String()
			c.Close()
			if serial != but {
				return serial
			}
		}
		wait(r.t, time.After(50*time.Millisecond))
	}
	r.t.Fatalf("no certificate is served: %v", err)
	return ""
}

// A certificate is ordered, served, kept over a restart and renewed.
func TestACME(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a certificate to be renewed")
	}
	t.Parallel()
	for _, challenge := range []string{"http", "tls-alpn"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			plain, secure := listenAt(t, "127.0.0.1:0"), listenAt(t, "127.0.0.1:0")
			p := startPebble(t, plain.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port, 20)
			data := t.TempDir()
			r := startACME(t, p, data, plain, secure, challenge)
			roots := p.roots()
			first := r.serial(roots, "")
			if n := p.orders.Load(); n != 1 {
				t.Errorf("%d orders", n)
			}
			r.close()

			r = startACME(t, p, data, listenAt(t, plain.Addr().String()), listenAt(t, secure.Addr().String()), challenge)
			defer r.close()
			if again := r.serial(roots, ""); again != first {
				t.Error("another certificate after the restart")
			}
			if n := p.orders.Load(); n != 1 {
				t.Errorf("%d orders after the restart", n)
			}
			r.serial(roots, first) // a third of 20 seconds before its end
			if n := p.orders.Load(); n != 2 {
				t.Errorf("%d orders after the renewal", n)
			}
		})
	}
}
