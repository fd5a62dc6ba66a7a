package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/headrace/headrace/bench/gateway/upstream"
	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// address is a host and a port.
type address string

// Port is the part that some configurations want alone.
func (a address) Port() string { return rig.Port(string(a)) }

// place is what the configurations of contenders are told.
type place struct {
	Dir, Build                 string // folders of its own, and of what was built
	Headrace                   string // the binary
	Plain, Guarded, TLS, Admin address
	Upstream                   address
	Others                     []address // further upstreams, for merging
	Certificate, Key, Bundle   string    // files; the last one holds both
	Secret, User               string
	Merged                     []string // paths that are merged
	Generation                 int      // counts changes of the configuration
}

// fill puts a place into a template.
func fill(text string, p *place) string {
	var b strings.Builder
	if err := template.Must(template.New("").Parse(text)).Execute(&b, p); err != nil {
		panic(err) // a template of ours
	}
	return b.String()
}

// server is a contender that runs, or the upstream itself.
type server struct {
	*contender
	*rig.Process
	place
}

const grace = 3 * time.Second // to end: nothing of a benchmark has to be saved

// start starts a contender with a folder of its own, before the upstream.
func (b *bench) start(ctx context.Context, c *contender) (*server, error) {
	s, err := b.prepare(c)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, b.token); err != nil {
		return nil, err
	}
	return s, nil
}

func (b *bench) prepare(c *contender) (*server, error) {
	dir, err := os.MkdirTemp(filepath.Join(buildDir, "runs"), c.title+"-")
	if err != nil {
		return nil, err
	}
	who, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &server{contender: c, place: place{
		Dir: dir, Build: buildDir, Headrace: rig.Product(), Plain: free(), Guarded: free(), TLS: free(), Admin: free(), Upstream: b.upstream.Plain,
		Certificate: filepath.Join(buildDir, "certificate.pem"), Key: filepath.Join(buildDir, "key.pem"), Bundle: filepath.Join(buildDir, "bundle.pem"),
		Secret: secret, User: who.Username,
	}}
	if c.title == own || c.title == floor {
		s.Guarded = s.Plain // one door for all
	}
	return s, s.configure()
}

// configure writes the files of the contender.
func (s *server) configure() error {
	for _, name := range s.files {
		text, err := os.ReadFile(filepath.Join(rivalsDir, name))
		if err != nil {
			return err
		}
		if err := replace(filepath.Join(s.Dir, name), fill(string(text), &s.place)); err != nil {
			return err
		}
	}
	return nil
}

// replace puts a file in the place of another at once, so that nobody reads half of it.
func replace(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *server) run(ctx context.Context, token string) error {
	var argv []string
	for _, word := range s.argv {
		argv = append(argv, fill(word, &s.place))
	}
	env := []string{
		"BENCH_PLAIN=" + string(s.Plain), "BENCH_GUARDED=" + string(s.Guarded), "BENCH_TLS=" + string(s.TLS), "BENCH_UPSTREAM=" + string(s.Upstream),
		"BENCH_CERTIFICATE=" + s.Certificate, "BENCH_KEY=" + s.Key, "BENCH_SECRET=" + s.Secret, "NODE_ENV=production",
	}
	var err error
	if s.Process, err = rig.Spawn(s.title, s.Dir, env, argv...); err != nil {
		return err
	}
	for _, addr := range []address{s.Plain, s.Guarded} { // that of TLS is waited for where it is used
		if err := s.Listening(ctx, string(addr)); err != nil {
			s.stop()
			return err
		}
	}
	for _, r := range []request{s.small(), s.guarded(token)} {
		if err := s.answering(ctx, r); err != nil {
			s.stop()
			return err
		}
	}
	return nil
}

// answering waits until a request gets its answer: some listen before they know their routes.
func (s *server) answering(ctx context.Context, r request) error {
	plan := r.plan(1)
	plan.Requests = 1
	var last error
	err := rig.Poll(ctx, 10*time.Second, 5*time.Millisecond, "answering "+r.path, func() (bool, error) {
		result, err := load.Closed(ctx, plan)
		if err == nil {
			last = result.Error
		}
		return err == nil && last == nil, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", s.title, err, last)
	}
	return nil
}

func (s *server) stop() { s.Stop(grace) }

func free() address { return address(rig.FreeAddr()) }

// serve starts an upstream: this program again.
func serve(ctx context.Context, name string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{place: place{Plain: free()}}
	if s.Process, err = rig.Spawn("upstream-"+name, filepath.Join(buildDir, "runs"), nil, self, "upstream", string(s.Plain), name); err != nil {
		return nil, err
	}
	if err := s.Listening(ctx, string(s.Plain)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// request is what is asked again and again, and what the answer must be.
type request struct {
	addr   address
	path   string
	token  string
	length int
}

func (s *server) small() request {
	return request{addr: s.Plain, path: "/small", length: upstream.Small}
}
func (s *server) large() request {
	return request{addr: s.Plain, path: "/large", length: upstream.Large}
}
func (s *server) guarded(token string) request {
	return request{addr: s.Guarded, path: "/guarded/small", token: token, length: upstream.Small}
}

// headers are those of a small client library.
func (r request) headers() []string {
	list := []string{"User-Agent: bench/1.0", "Accept: application/json", "Accept-Encoding: identity"}
	if r.token != "" {
		list = append(list, "Authorization: Bearer "+r.token)
	}
	return list
}

func (r request) text() []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", r.path, r.addr, strings.Join(r.headers(), "\r\n"))
}

// plan is this request over a number of connections.
func (r request) plan(connections int) load.Plan {
	text := r.text()
	return load.Plan{
		Addr: string(r.addr), Connections: connections,
		Next: func(_ int, into []byte) []byte { return append(into, text...) },
		Check: func(_, status int, body []byte, _, _ time.Time) error {
			if status != 200 || len(body) != r.length {
				return fmt.Errorf("status %d with %d bytes instead of 200 with %d: %.200q", status, len(body), r.length, body)
			}
			return nil
		},
	}
}
