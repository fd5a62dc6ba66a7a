package app

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// settleTime is how long the files must be quiet before they are read: editors write in several steps.
const settleTime = 80 * time.Millisecond

// develop watches the folders of the apps and swaps their workers when a Python file changes, until the context ends. A pool whose app did
// not import is tried again then.
func (a *App) develop(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the app: %w", err)
	}
	defer watcher.Close()
	for _, c := range a.config.Pools {
		if err := watchTree(watcher, filepath.Dir(strings.SplitN(c.App, ":", 2)[0])); err != nil {
			return fmt.Errorf("watch the app: %w", err)
		}
	}
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if strings.HasSuffix(event.Name, ".py") && !event.Has(fsnotify.Chmod) {
				quiet.Reset(settleTime)
			}
		case err := <-watcher.Errors:
			a.log.Warn("watch", "error", err)
		case <-quiet.C:
			for name, c := range a.config.Pools {
				a.renew(ctx, name, c)
			}
		}
	}
}

// renew opens a pool that failed before, or swaps its code.
func (a *App) renew(ctx context.Context, name string, c *config.Pool) {
	began := time.Now()
	err := error(nil)
	found := false
	for _, pool := range a.pools.list() {
		if pool.Name() == name {
			found = true
			err = a.reloadPool(ctx, pool)
		}
	}
	if !found {
		err = a.openPool(ctx, name, c)
	}
	if err != nil {
		a.complain(err)
		return
	}
	fmt.Fprintf(a.out, "  reloaded  %s in %s\n", c.App, time.Since(began).Round(time.Millisecond))
}

// complain shows a problem with the app and goes on.
func (a *App) complain(err error) {
	fmt.Fprintf(a.out, "\n%s\n", problem.From(err).Text())
}

// watchTree watches a folder and those below it, but none where tools keep their own files.
func watchTree(watcher *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if path != root && (strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules" || name == "headrace-data" || name == "venv") {
			return filepath.SkipDir
		}
		return watcher.Add(path)
	})
}
