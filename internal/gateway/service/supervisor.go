// Package service runs the processes of upstreams: it starts them, waits until they take connections, starts them again when they end,
// and replaces them one after the other without a request noticing.
package service

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

var (
	failing     = &observe.Condition{Code: "service-failing", Severity: observe.Warning, Title: "processes of a service end as they start"}
	notReplaced = &observe.Condition{Code: "service-not-replaced", Severity: observe.Warning, Title: "processes of a service could not be replaced, the old ones stay"}
)

// Options is what a Supervisor needs.
type Options struct {
	Log    *slog.Logger
	Health *observe.Health
	Folder string // for sockets, of this supervisor alone; made with mode 0700. Empty, or too long for sockets, is a temporary one
	Dir    string // that commands run in unless their upstream has one
}

// Supervisor runs the processes of all services. Its methods may be called from any goroutine.
type Supervisor struct {
	log     *slog.Logger
	health  *observe.Health
	dir     string
	places  *places
	starter starter
	stable  time.Duration // that a process runs before its start counts as a success

	ctx  context.Context // until Stop
	stop context.CancelFunc
	hard context.Context // until Stop is out of time
	kill context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex
	services map[string]*Service
	stopped  bool
}

// New makes the folder for sockets. Nothing runs yet.
func New(o Options) (*Supervisor, error) {
	places, err := newPlaces(o.Folder)
	if err != nil {
		return nil, problem.New("HR4023", "folder for sockets: %w", err)
	}
	s := &Supervisor{log: o.Log, health: o.Health, dir: o.Dir, places: places, starter: newStarter(), stable: 10 * time.Second, services: map[string]*Service{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.hard, s.kill = context.WithCancel(context.Background())
	return s, nil
}

// Check tells whether the command of an upstream can be read and names a program that is there, or HR4023.
func (s *Supervisor) Check(name string, c *config.Upstream) error {
	at := "upstreams." + name + ".run"
	words, err := Split(c.Run)
	if err != nil {
		return problem.New("HR4023", "%w", err).At(at)
	}
	dir := s.folder(c)
	if info, err := os.Stat(dir); dir != "" && (err != nil || !info.IsDir()) {
		return problem.New("HR4023", "%s is not a folder", dir).At("upstreams." + name + ".directory")
	}
	program := words[0]
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		if program, err = filepath.Abs(filepath.Join(dir, program)); err != nil {
			return problem.New("HR4023", "%w", err).At(at)
		}
	}
	if _, err := exec.LookPath(program); err != nil {
		return problem.New("HR4023", "%w", err).At(at).Hinting("install it, or write the path of the program, relative to its folder")
	}
	return nil
}

func (s *Supervisor) folder(c *config.Upstream) string {
	if c.Directory != "" {
		return c.Directory
	}
	return s.dir
}

// Open starts the service of an upstream in the background. Changed is called with the processes that take requests whenever they are
// others, one call after the other; a process that is not in the list any more is ended when its requests have.
func (s *Supervisor) Open(name string, c *config.Upstream, changed func([]*Replica)) *Service {
	v := &Service{supervisor: s, name: name, cfg: c, changed: changed, first: make(chan struct{})}
	v.ctx, v.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.services[name] = v
		v.mu.Lock()
		v.begin()
		v.fit()
		v.mu.Unlock()
	}
	return v
}

// Replace replaces all processes of a service, one after the other: each new one is ready before the old one gets no more requests.
// HR4024 if there is no such service, HR4025 if a new process does not become ready; the old ones then stay.
func (s *Supervisor) Replace(ctx context.Context, name string) error {
	s.mu.Lock()
	v := s.services[name]
	s.mu.Unlock()
	if v == nil {
		return problem.New("HR4024", "%s runs no processes", name)
	}
	return v.Replace(ctx)
}

// Stop ends all processes as Service.Close does, and kills what is left when ctx is done. Afterwards nothing is started.
func (s *Supervisor) Stop(ctx context.Context) {
	release := context.AfterFunc(ctx, s.kill)
	defer release()
	s.mu.Lock()
	again := s.stopped
	s.stopped = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	if !again {
		close(s.starter)
		s.places.close()
	}
}

var _ io.Closer = (*Service)(nil)
