package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

var configRefused = &observe.Condition{Code: "config-refused", Severity: observe.Warning, Title: "the configuration was read again and is not valid; the former one is in force"}

// part is what takes a new configuration while it runs.
type part struct {
	takes     func(key string) bool
	configure func(*config.Config) error      // all of it, or with an error nothing
	keep      func(into, from *config.Config) // copies the keys
}

// reloads reads the configuration again when it is told to, and gives it to the parts that can take it.
type reloads struct {
	*App
	load     func() (*config.Config, error)
	files    []string // that are watched; none unless developing
	terminal bool
	signals  chan os.Signal
	saved    <-chan struct{}
	asked    chan chan<- reloaded
	current  *config.Config // in force
	parts    []part
}

// reloaded is what became of a configuration that was read again.
type reloaded struct {
	taken, kept []string // keys that changed: those in force, and those that take a restart
	err         error
}

// ask reads the configuration again and tells what became of it.
func (r *reloads) ask(ctx context.Context) (taken, kept []string, err error) {
	told := make(chan reloaded, 1)
	select {
	case r.asked <- told:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	done := <-told
	return done.taken, done.kept, done.err
}

// listen begins to take signals and to watch the files; run answers them.
func (a *App) listen(ctx context.Context, o Options) *reloads {
	r := &reloads{App: a, load: o.Reload, terminal: o.Terminal, current: a.config, signals: make(chan os.Signal, 1), asked: make(chan chan<- reloaded)}
	if o.Dev {
		r.files = o.Files
	}
	signal.Notify(r.signals, syscall.SIGHUP) // for good: while the node drains it must not end it at once
	r.saved = r.watch(ctx)
	return r
}

// compose lists the parts; those that may refuse come first.
func (r *reloads) compose() {
	if r.live != nil {
		r.parts = append(r.parts, part{takesLive, r.configureLive, func(into, from *config.Config) {
			if from.Live != nil {
				into.Live = from.Live
			}
		}})
	}
	r.parts = append(r.parts,
		part{takesRoutes, r.edge.Configure, keepRoutes},
		part{is("log.level"), r.configureLog, func(into, from *config.Config) { into.Log.Level = from.Log.Level }},
	)
}

func is(name string) func(string) bool { return func(key string) bool { return key == name } }

// takesLive leaves out that the plane is turned off, which takes a restart as turning it on does.
func takesLive(key string) bool { return strings.HasPrefix(key, "live.") }

// takesRoutes are the keys of what the public listener does with a request.
func takesRoutes(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	return slices.Contains([]string{"routes", "upstreams", "policies"}, section) || strings.HasPrefix(key, "log.access") || key == "server.openapi" || slices.Contains(tlsKeys, key)
}

// tlsKeys are the keys of TLS that the public listener takes, too.
var tlsKeys = []string{"server.tls.certificates", "server.tls.client_ca", "server.tls.client_auth", "server.tls.min_version"}

func keepRoutes(into, from *config.Config) {
	into.Routes, into.Upstreams, into.Policies = from.Routes, from.Upstreams, from.Policies
	into.Server.OpenAPI = from.Server.OpenAPI
	into.Log.Access, into.Log.AccessFile = from.Log.Access, from.Log.AccessFile
	if into.Server.TLS != nil && from.Server.TLS != nil {
		t := *into.Server.TLS
		t.Certificates, t.ClientCA, t.ClientAuth, t.MinVersion = from.Server.TLS.Certificates, from.Server.TLS.ClientCA, from.Server.TLS.ClientAuth, from.Server.TLS.MinVersion
		into.Server.TLS = &t
	}
}

func (r *reloads) configureLive(c *config.Config) error {
	if c.Live == nil {
		return nil
	}
	return r.live.Configure(c.Live)
}

func (a *App) configureLog(c *config.Config) error { return a.level.UnmarshalText([]byte(c.Log.Level)) }

// run serves until the context ends. It closes hangup if SIGHUP means that the terminal is gone.
func (r *reloads) run(ctx context.Context, hangup chan<- struct{}) {
	r.compose()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.signals:
			if r.terminal && terminalGone() {
				close(hangup)
				return
			}
		case <-r.saved:
		case told := <-r.asked:
			told <- r.reload()
			continue
		}
		r.reload()
	}
}

// terminalGone tells whether the controlling terminal was closed, which is what SIGHUP says to a program that runs in one.
func terminalGone() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err == nil {
		_ = f.Close()
	}
	return err != nil
}

// watch tells when one of the files was written and is quiet.
func (r *reloads) watch(ctx context.Context) <-chan struct{} {
	saved := make(chan struct{})
	if len(r.files) == 0 {
		return saved
	}
	watcher, err := fsnotify.NewWatcher()
	for _, name := range r.files { // the folder, since editors replace files
		if err == nil {
			err = watcher.Add(filepath.Dir(name))
		}
	}
	if err != nil {
		r.log.Warn("the configuration is not watched", "error", err)
		return saved
	}
	go func() {
		defer watcher.Close()
		quiet := time.NewTimer(time.Hour)
		quiet.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-watcher.Events:
				if slices.Contains(r.files, event.Name) && (event.Has(fsnotify.Write) || event.Has(fsnotify.Create)) {
					quiet.Reset(settleTime)
				}
			case err := <-watcher.Errors:
				r.log.Warn("watch", "error", err)
			case <-quiet.C:
				select {
				case saved <- struct{}{}:
				case <-ctx.Done():
				}
			}
		}
	}()
	return saved
}

// reload takes a new configuration, or refuses it as a whole.
func (r *reloads) reload() (done reloaded) {
	next, err := r.load()
	if err == nil {
		err = r.apply(next)
	}
	if err != nil {
		p := problem.From(err)
		r.log.Error("configuration is refused, the former one is in force", observe.Error(p))
		r.health.Raise(configRefused, "", "%s", placed(p))
		if len(r.files) > 0 {
			r.complain(err)
		}
		return reloaded{err: p}
	}
	r.health.Clear(configRefused, "")
	for _, key := range config.Changes(r.current, next) {
		if slices.ContainsFunc(r.parts, func(p part) bool { return p.takes(key) }) {
			done.taken = append(done.taken, key)
		} else {
			done.kept = append(done.kept, key)
		}
	}
	merged := *r.current
	for _, p := range r.parts {
		p.keep(&merged, next)
	}
	r.current = &merged
	if len(done.kept) == 0 {
		r.proved(next)
	}
	r.log.Info("configuration is read again", "changed", done.taken)
	if len(done.kept) > 0 {
		r.log.Warn("configuration has changes that take effect with a restart", "keys", done.kept)
	}
	if len(r.files) > 0 && len(done.taken)+len(done.kept) > 0 {
		fmt.Fprintf(r.out, "  reloaded  configuration: %s\n", summary(done.taken, done.kept))
	}
	return done
}

// placed is what is wrong, and in which file and line.
func placed(p *problem.Error) string {
	where, _, _ := strings.Cut(p.Where, "\n") // without the line itself, which may hold a secret
	if where == "" {
		return p.What
	}
	return p.What + " (" + where + ")"
}

func summary(taken, kept []string) string {
	text := strings.Join(taken, ", ")
	if text == "" {
		text = "nothing"
	}
	if len(kept) > 0 {
		text += "; with a restart: " + strings.Join(kept, ", ")
	}
	return text
}

// apply gives the configuration to every part, also where no key has changed, since files that it names may have. Where one refuses, those
// before it get the former configuration back.
func (r *reloads) apply(next *config.Config) error {
	for i, p := range r.parts {
		err := p.configure(next)
		if err == nil {
			continue
		}
		for _, done := range slices.Backward(r.parts[:i]) {
			if back := done.configure(r.current); back != nil {
				r.log.Error("former configuration cannot be taken back", "error", back)
			}
		}
		return err
	}
	return nil
}
