package hostile

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/bench/rig"
)

// rival is another gateway, on an address of this machine, before the same upstream.
type rival struct {
	name, suffix string
	file, text   string   // its configuration; LISTEN, UPSTREAM and DIR are replaced
	argv         []string // to start it in the foreground; FILE is replaced
	version      []string
}

var rivals = []rival{
	{"nginx", "n", "nginx.conf", `
master_process off; daemon off; pid DIR/pid; error_log DIR/error.log;
events {}
http {
  access_log off;
  client_header_timeout 2s; client_body_timeout 2s; keepalive_timeout 2s; send_timeout 2s; lingering_close off;
  client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream up { server UPSTREAM; keepalive 16; }
  server {
    listen LISTEN;
    location / {
      proxy_pass http://up; proxy_http_version 1.1; proxy_read_timeout 2s;
      proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }
    location /small/ { client_max_body_size 1k; proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`, []string{"nginx", "-c", "FILE", "-p", "DIR"}, []string{"nginx", "-v"}},
	{"HAProxy", "p", "haproxy.cfg", `
defaults
  mode http
  timeout client 2s
  timeout http-request 2s
  timeout http-keep-alive 2s
  timeout connect 2s
  timeout server 2s
  timeout tunnel 2s
frontend in
  bind LISTEN
  http-request deny status 413 if { path_beg /small/ } { req.hdr_val(content-length) gt 1024 }
  default_backend up
backend up
  server up UPSTREAM
`, []string{"haproxy", "-db", "-f", "FILE"}, []string{"haproxy", "-v"}},
}

// start runs the rival until the test ends; it is skipped where it is not installed.
func (r *rival) start(t *testing.T) (address, version string) {
	if _, err := exec.LookPath(r.argv[0]); err != nil {
		t.Skipf("%s is not installed: nothing is compared with it", r.name)
	}
	dir := t.TempDir()
	address = rig.FreeAddr()
	fill := strings.NewReplacer("LISTEN", address, "UPSTREAM", up.Addr().String(), "DIR", dir, "FILE", filepath.Join(dir, r.file))
	if err := os.WriteFile(filepath.Join(dir, r.file), []byte(fill.Replace(r.text)), 0o600); err != nil {
		t.Fatal(err)
	}
	var argv []string
	for _, arg := range r.argv {
		argv = append(argv, fill.Replace(arg))
	}
	var log bytes.Buffer
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %s", r.name, log.Bytes())
		}
	}
	out, _ := exec.Command(r.version[0], r.version[1:]...).CombinedOutput()
	version, _, _ = strings.Cut(strings.TrimPrefix(string(out), "nginx version: "), "\n")
	version, _, _ = strings.Cut(version, " 20")
	return address, version
}

// The same bytes are thrown at others, before the same upstream. Nothing is demanded of them; where they differ is told in DIFFERENCES.md.
func TestRivals(t *testing.T) {
	up.forget("h")
	own, err := volley(gate.public, "h")
	if err != nil {
		t.Fatal(err)
	}
	theirs, versions := map[string][]*outcome{}, map[string]string{}
	for _, r := range rivals {
		t.Run(r.name, func(t *testing.T) {
			address, version := r.start(t)
			list, err := volley(address, r.suffix)
			if err != nil {
				t.Log(err)
			}
			theirs[r.name], versions[r.name] = list, version
		})
	}
	var table strings.Builder
	n := map[string]int{}
	for i, a := range corpus {
		differs := false
		row := fmt.Sprintf("| %s | %s |", a.name, verdict(&a, own[i]))
		for _, r := range rivals {
			cell := "–"
			if list := theirs[r.name]; list != nil {
				cell = verdict(&a, list[i])
				if cell != verdict(&a, own[i]) {
					differs = true
					n[r.name]++
				}
			}
			row += " " + cell + " |"
		}
		if differs {
			table.WriteString(row + "\n")
		}
	}
	t.Logf("of %d cases differ: %v", len(corpus), n)
	if !*writeDifferences {
		return
	}
	for _, r := range rivals {
		if theirs[r.name] == nil {
			t.Fatalf("DIFFERENCES.md needs %s", r.name)
		}
	}
	text := fmt.Sprintf(intro, len(corpus), versions["nginx"], versions["HAProxy"], n["nginx"], n["HAProxy"]) + table.String()
	if err := os.WriteFile("DIFFERENCES.md", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const intro = `# Where headrace, nginx and HAProxy differ

Written by ` + "`make test/hostile/differences`" + `: the same bytes, %d cases of corpus_test.go, are thrown at headrace, at %s and at %s, each with few
settings beyond the address of one upstream that keeps what arrives. %d cases come out otherwise with nginx, %d with HAProxy; those are listed, the
others come out the same.

- **refused**: an error, or no answer at all, and nothing whole has reached the upstream;
- **passed n**: n requests have reached the upstream, each whole and in a form that can be read in one way alone;
- **passed n, stolen**: one of them is a request that was hidden in the bytes of another, or behind a head whose length is in doubt;
- **answered**: a good answer that the upstream has not given.

| case | headrace | nginx | HAProxy |
|---|---|---|---|
`

// verdict is an outcome in few words.
func verdict(a *attack, o *outcome) string {
	whole := o.whole()
	for _, s := range o.seen {
		if strings.Contains(s.target(), "/stolen") {
			return fmt.Sprintf("passed %d, stolen", whole)
		}
	}
	switch {
	case whole > 0:
		return fmt.Sprintf("passed %d", whole)
	case o.good() > 0:
		return "answered"
	}
	return "refused"
}
