package engine

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/problem"
)

// guardEvery is how often the free space of the disk is read.
const guardEvery = time.Second

// guard refuses new work while the disk is nearly full. Work that runs goes on, into the space that is kept free for it.
type guard struct {
	path    string
	minFree int64
	log     *slog.Logger
	measure func(path string) (free int64, err error)
	free    atomic.Int64
	closed  atomic.Pointer[problem.Error]
}

func newGuard(path string, minFree int64, log *slog.Logger) *guard {
	return &guard{path: path, minFree: minFree, log: log, measure: freeBytes}
}

// look measures once. The guard closes below minFree and opens above 1.1 times that, so that it does not flutter.
func (g *guard) look() {
	free, err := g.measure(g.path)
	if err != nil {
		g.log.Warn("free space is not known", "path", g.path, "error", err)
		return
	}
	g.free.Store(free)
	closed := g.closed.Load() != nil
	switch {
	case !closed && free < g.minFree:
		g.closed.Store(problem.New("HR5002", "%d MiB are free, %d MiB must stay free", free>>20, g.minFree>>20).At(g.path))
		g.log.Error("disk is nearly full: new work is refused", "path", g.path, "free", free, "min_free", g.minFree)
	case closed && free >= g.minFree+g.minFree/10:
		g.closed.Store(nil)
		g.log.Info("disk has room again: new work is taken", "path", g.path, "free", free)
	}
}

// run looks until quit is closed.
func (g *guard) run(quit <-chan struct{}) {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.look()
		case <-quit:
			return
		}
	}
}

// freeBytes is what this process may still write to the file system of path.
func freeBytes(path string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}
