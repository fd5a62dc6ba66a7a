package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/headrace/headrace/bench/rig"
	"github.com/headrace/headrace/internal/cli"
)

// This program is also the command headrace of the examples.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"headrace": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop)
		dir, _ := os.Getwd()
		os.Exit(cli.Main(ctx, cli.Env{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Dir: dir, Version: "test",
		}))
	}})
}

// patience is how long one block may take.
const patience = time.Minute

// TestExamples runs the marked blocks of each page in their order, in one folder and one shell:
//
//	python file=app.py    is written to the file; a server that watches it must reload
//	sh serve              starts a server on free ports in the background, and ends the one before
//	sh run, python run    must succeed; sh run fails must not
//	text expect           the lines must be in the output of the block before, in this order; … stands for anything
//	text expect server    the same for what the server has printed since it started or was last asked
func TestExamples(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the examples need %s", tool)
		}
	}
	ran := 0
	for _, page := range append(pages(t, "docs/start", "docs/concepts", "docs/guides", "docs/operate"), "README.md") {
		list := blocks(read(t, page))
		runnable := false
		for i := range list {
			runnable = runnable || list[i].is("run") || list[i].is("serve")
		}
		if !runnable {
			continue
		}
		ran++
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			for i := range list {
				b := &list[i]
				s.at = fmt.Sprintf("%s:%d", page, b.line)
				s.play(b)
			}
		})
	}
	if ran < 5 {
		t.Errorf("only %d pages have examples that run", ran)
	}
}

// brief lets the race detector not hold every command for a second in its end.
const brief = "GORACE=atexit_sleep_ms=50"

// stage is where the examples of one page run.
type stage struct {
	*testing.T
	at     string // page and line of the block
	home   string
	dir    string // of the shell
	shell  io.Writer
	lines  chan string // of the shell
	output string      // of the last block
	server *server
	remote string // address for remote workers
	ports  *strings.Replacer
	blocks int
}

func newStage(t *testing.T) *stage {
	home := t.TempDir()
	sdk, err := filepath.Abs(filepath.Join(root, "sdk/python/src"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, home: home, dir: filepath.Join(home, "work"), lines: make(chan string, 10000), remote: rig.FreeAddr()}
	s.ports = strings.NewReplacer("127.0.0.1:8082", s.remote)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\nwrite-out = \"\\n\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--noprofile", "--norc")
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8", "PYTHONPATH=" + sdk, "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=*", brief}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what an example leaves in the background goes with the shell
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.shell = in
	go func() {
		defer close(s.lines)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			s.lines <- scan.Text()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		s.stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		for range s.lines {
		}
		_ = cmd.Wait()
	})
	return s
}

func (s *stage) play(b *block) {
	switch {
	case b.file() != "":
		s.write(b.file(), b.text)
	case b.is("serve"):
		s.serve(strings.TrimSpace(b.text))
	case b.is("run"), b.is("run", "fails"):
		text := b.text
		if b.lang == "python" {
			text = "python3 " + s.script("py", text)
		}
		s.run(text, len(b.marks) > 1)
	case b.is("expect"):
		if missing := match(s.ports.Replace(b.text), s.output); missing != "" {
			s.Fatalf("%s: expected %q in:\n%s", s.at, missing, s.output)
		}
	case b.is("expect", "server"):
		s.server.expect(s, s.ports.Replace(b.text))
	}
}

func (s *stage) script(ending, text string) string {
	s.blocks++
	path := filepath.Join(s.home, fmt.Sprintf("block-%d.%s", s.blocks, ending))
	if err := os.WriteFile(path, []byte(s.ports.Replace(text)), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// write makes a file as an editor would. While a server watches, it returns when the server has answered to it.
func (s *stage) write(name, text string) {
	watched := s.server != nil && s.server.dev && strings.HasSuffix(name, ".py")
	before := 0
	if watched {
		before = s.server.size()
	}
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.ports.Replace(text)), 0o600); err != nil {
		s.Fatal(err)
	}
	if watched {
		s.server.await(s, func(told string) bool {
			return strings.Contains(told[before:], "  reloaded ") || strings.Contains(told[before:], "error[")
		})
	}
}

const mark = "@@ended@@"

// run feeds a block to the shell.
func (s *stage) run(text string, fails bool) {
	guard := "set -e\n"
	if fails {
		guard = "set +e\n"
	}
	fmt.Fprintf(s.shell, "%ssource %s </dev/null\nprintf '\\n%s %%s %%s\\n' $? \"$PWD\"\n", guard, s.script("sh", text), mark)
	var out strings.Builder
	limit := time.After(patience)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.Fatalf("%s: the block failed:\n%s", s.at, out.String())
			}
			rest, ended := strings.CutPrefix(line, mark+" ")
			if !ended {
				out.WriteString(line + "\n")
				continue
			}
			status, dir, _ := strings.Cut(rest, " ")
			if (status != "0") != fails {
				s.Fatalf("%s: the block ended with status %s:\n%s", s.at, status, out.String())
			}
			s.dir, s.output = dir, out.String()
			return
		case <-limit:
			s.Fatalf("%s: the block did not end:\n%s", s.at, out.String())
		}
	}
}

// serve starts a server.
func (s *stage) serve(command string) {
	s.stop()
	cmd := exec.Command("bash", "-c", "exec "+command)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "PYTHONDONTWRITEBYTECODE=1", brief,
		"HEADRACE_SERVER_LISTEN=127.0.0.1:0", "HEADRACE_ADMIN_LISTEN=127.0.0.1:0"}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.server = &server{cmd: cmd, dev: strings.Contains(command, " dev"), news: make(chan struct{}, 1), over: make(chan struct{})}
	go s.server.listen(stderr)
	s.server.await(s, func(told string) bool { return strings.Contains(told, "ready in") && admin.MatchString(told) })
	told := s.server.text()
	public, control := address.FindStringSubmatch(told)[1], admin.FindStringSubmatch(told)[1]
	s.ports = strings.NewReplacer("localhost:8080", public, "127.0.0.1:8080", public, "localhost:8081", control, "127.0.0.1:8081", control,
		"127.0.0.1:8082", s.remote)
	s.run("export HEADRACE_SERVER=http://"+control, false)
}

// stop ends the server, which must be gone in time and content.
func (s *stage) stop() {
	if s.server == nil {
		return
	}
	_ = s.server.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(30*time.Second, func() { _ = s.server.cmd.Process.Kill() })
	<-s.server.over
	err := s.server.cmd.Wait()
	kill.Stop()
	if err != nil || s.Failed() {
		s.Errorf("server ended: %v\n%s", err, s.server.text())
	}
	s.server = nil
}

var (
	address = regexp.MustCompile(`(?m)^  public +http://(\S+)$`)
	admin   = regexp.MustCompile(`(?m)^  admin +http://(\S+)$`)
)

// server is a headrace in the background.
type server struct {
	cmd  *exec.Cmd
	dev  bool
	news chan struct{}
	over chan struct{}
	seen int // bytes of told that were expected

	mu   sync.Mutex
	told strings.Builder
}

func (s *server) listen(from io.Reader) {
	defer close(s.over)
	scan := bufio.NewScanner(from)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		s.mu.Lock()
		s.told.WriteString(scan.Text() + "\n")
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

func (s *server) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told.String()
}

func (s *server) size() int { return len(s.text()) }

// await returns when the server has told what is waited for.
func (s *server) await(on *stage, enough func(told string) bool) {
	limit := time.After(patience)
	for !enough(s.text()) {
		select {
		case <-s.news:
		case <-s.over:
			on.Fatalf("%s: the server ended:\n%s", on.at, s.text())
		case <-limit:
			on.Fatalf("%s: the server did not say so in time:\n%s", on.at, s.text())
		}
	}
}

func (s *server) expect(on *stage, want string) {
	s.await(on, func(told string) bool { return match(want, told[s.seen:]) == "" })
	s.seen = s.size()
}

var spaces = regexp.MustCompile(`[ \t]+`)

// match returns the first line of want that is not among the lines of got, after the one before. Spaces count as one.
func match(want, got string) (missing string) {
	lines := strings.Split(spaces.ReplaceAllString(got, " "), "\n")
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(spaces.ReplaceAllString(line, " "))
		if line == "" || line == "…" {
			continue
		}
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + "$")
		for {
			if len(lines) == 0 {
				return line
			}
			head := strings.TrimSpace(lines[0])
			lines = lines[1:]
			if pattern.MatchString(head) {
				break
			}
		}
	}
	return ""
}
