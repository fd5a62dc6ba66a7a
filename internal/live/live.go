// Package live is the plane of real-time connections. Clients speak the Centrifuge protocol over WebSocket, SSE or HTTP streaming; they subscribe to
// channels, and what is published in a channel reaches its subscribers. Channels with a history are durable: a publication is acknowledged once it is
// committed, and a client that comes back gets what it missed.
package live

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/park"
)

// Deps are the parts that the plane is made of.
type Deps struct {
	Config    *config.Live
	Engine    *engine.Engine // needed where a namespace has a history
	Park      *park.Engine   // nil makes one
	Authority Authority      // nil: no functions are asked, and no RPC
	Sources   []Source       // read-only namespaces
	// Limits makes what counts commands; nil counts none.
	Limits func([]config.Limit) (Limiter, error)
	Health *observe.Health
	Log    *slog.Logger
}

// Live is the plane.
type Live struct {
	Deps

	options  atomic.Pointer[options]
	hub      *fanout.Hub
	registry *registry
	feeds    feeds
	metrics  *metrics
	park     *park.Engine
	ownPark  bool
	node     string
	opened   time.Time
	keys     keys

	running context.Context // of what is done for clients; ends with Stop
	end     context.CancelFunc
	tasks   sync.WaitGroup

	changing sync.Mutex    // held by Configure and Stop
	changed  chan struct{} // to the position check: there are other options
	logs     map[string]*history.Log
	stopping atomic.Bool
}

// Open starts the plane: HR9003 for options that do not work, HR5xxx if a history cannot be opened.
func Open(ctx context.Context, d Deps) (*Live, error) {
	var node [8]byte
	_, _ = rand.Read(node[:]) // never fails
	l := &Live{Deps: d, registry: newRegistry(), park: d.Park, node: hex.EncodeToString(node[:]), opened: time.Now(),
		logs: map[string]*history.Log{}, changed: make(chan struct{}, 1)}
	l.metrics = newMetrics(l)
	l.hub = fanout.NewHub(l.metrics.delivered)
	l.feeds.live = l
	l.running, l.end = context.WithCancel(context.Background())
	if l.park == nil {
		var err error
		if l.park, err = park.New(park.Options{Log: d.Log}); err != nil {
			l.abandon()
			return nil, err
		}
		l.ownPark = true
	}
	if err := l.configure(ctx, d.Config); err != nil {
		l.abandon()
		return nil, err
	}
	l.tasks.Go(l.watch)
	l.tasks.Go(l.checking)
	return l, nil
}

// abandon gives back what Open has taken.
func (l *Live) abandon() {
	l.end()
	l.hub.Stop()
	for _, log := range l.logs {
		_ = log.Stop(context.Background())
	}
	if l.ownPark {
		_ = l.park.Stop(context.Background())
	}
}

// Configure changes the options. No connection is closed; subscriptions to channels that are gone are ended, those whose history began or ended
// are made anew by their clients. After an error the old options hold.
func (l *Live) Configure(c *config.Live) error {
	err := l.configure(l.running, c)
	if err == nil {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
	return err
}

func (l *Live) configure(ctx context.Context, c *config.Live) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	o, err := compile(c, l.Sources, l.Health, l.Log)
	if err != nil {
		return err
	}
	if len(c.Limits) > 0 && l.Limits != nil {
		if o.counted, err = l.Limits(c.Limits); err != nil {
			return err
		}
	}
	opened := map[string]*history.Log{}
	for name, n := range o.namespaces {
		if n.source != nil || !n.Durable() {
			continue
		}
		if n.log = l.logs[name]; n.log == nil {
			if n.log, err = l.openLog(ctx, name, n); err != nil {
				for _, log := range opened {
					_ = log.Stop(ctx)
				}
				return err
			}
			opened[name] = n.log
		}
	}
	for name, n := range o.namespaces {
		if n.log == nil || opened[name] != nil {
			continue
		}
		if err := n.log.Configure(ctx, history.Options{Size: n.History.Size, Age: n.History.Age}); err != nil {
			l.Log.Error("history keeps its old size", "namespace", name, observe.Error(err))
		}
	}
	if now := l.options.Load(); now != nil && now.HandshakesPerSecond == c.HandshakesPerSecond {
		o.handshakes = now.handshakes
	}
	old := l.options.Swap(o)
	for name, log := range opened {
		l.logs[name] = log
	}
	for name, log := range l.logs {
		if n := o.namespaces[name]; n == nil || n.log == nil {
			delete(l.logs, name)
			if err := log.Stop(ctx); err != nil {
				l.Log.Warn("history did not stop", "namespace", name, observe.Error(err))
			}
		}
	}
	if old != nil {
		l.move(old, o)
	}
	return nil
}

func (l *Live) openLog(ctx context.Context, name string, n *namespace) (*history.Log, error) {
	if l.Engine == nil {
		return nil, errors.New("live: a history needs an engine")
	}
	return history.Open(ctx, l.Engine, name, history.Options{Size: n.History.Size, Age: n.History.Age}, l.deliver(name), l.Log)
}

// move ends the subscriptions that the change of options does not leave as they are.
func (l *Live) move(old, o *options) {
	l.hub.Each(func(c *fanout.Channel) {
		before, _ := old.find(c.Name)
		now, _ := o.find(c.Name)
		switch {
		case now == nil:
			l.dismissAll(c, unsubscribedServer, reasonServer)
		case before != nil && before.positions() != now.positions():
			l.dismissAll(c, unsubscribedState, reasonState)
		}
	})
}

// Stop tells the clients to reconnect, spread over shutdown_window, and ends. When ctx ends first the rest are told at once.
func (l *Live) Stop(ctx context.Context) error {
	if l.stopping.Swap(true) {
		return nil
	}
	all := l.registry.all()
	window := l.options.Load().ShutdownWindow
	began := time.Now()
	for i, s := range all {
		if wait := window*time.Duration(i)/time.Duration(len(all)) - time.Since(began); wait > time.Millisecond && ctx.Err() == nil {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		s.end(DisconnectShutdown)
	}
	for _, s := range l.registry.all() { // those who came meanwhile
		s.end(DisconnectShutdown)
	}
	l.end()
	l.changing.Lock()
	defer l.changing.Unlock()
	var failed error
	for _, log := range l.logs {
		failed = errors.Join(failed, log.Stop(ctx))
	}
	if l.ownPark {
		failed = errors.Join(failed, l.park.Stop(ctx))
	}
	done := make(chan struct{})
	go func() {
		l.tasks.Wait()
		l.hub.Stop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		failed = errors.Join(failed, ctx.Err())
	}
	return failed
}

func (l *Live) now() time.Time { return time.Now() }
