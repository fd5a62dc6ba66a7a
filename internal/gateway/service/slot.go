package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	manyFailures   = 5 // in a row, until a service counts as failing
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 30 * time.Second
)

// slot is the place of one replica. Its goroutine keeps a process in it.
type slot struct {
	service *Service
	number  int
	orders  chan order
	ends    chan ending
	ctx     context.Context
	cancel  context.CancelFunc

	current   *Replica  // that takes requests; nil for none. The mutex of the service guards what follows
	since     time.Time // of current
	restarts  int
	unhealthy int    // of restarts, those of processes that did not answer
	trouble   string // why there is none, or the last one ended
}

// order asks for a replacement; the answer goes to done.
type order struct {
	ctx  context.Context
	done chan error
}

// ending asks that a process that takes connections is ended and started again; done is closed when another has its place or could not be started.
type ending struct {
	replica *Replica
	why     string
	done    chan struct{}
}

var (
	errStopped  = errors.New("the service has been stopped")
	errOutdated = errors.New("the service has another command by now")
)

func (k *slot) replace(ctx context.Context) error {
	o := order{ctx, make(chan error, 1)}
	select {
	case k.orders <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-k.ctx.Done():
		return nil // it is one too many
	}
	return <-o.done
}

// restart replaces a process that does not answer any more, and waits until that has happened or failed once.
func (k *slot) restart(r *Replica, why string) {
	e := ending{r, why, make(chan struct{})}
	select {
	case k.ends <- e:
	case <-k.ctx.Done():
		return
	}
	select {
	case <-e.done:
	case <-k.ctx.Done():
	}
}

// run keeps a process in the slot until it is cancelled, and ends that then.
func (k *slot) run() {
	v := k.service
	restart := time.NewTimer(0)
	defer restart.Stop()
	var stable <-chan time.Time
	var current *Replica
	failures := 0
	attempted := func() {} // tells who has asked for a restart
	failed := func(why string) {
		failures++
		pause := jitter(backoff(failures))
		restart.Reset(pause)
		v.supervisor.log.Error("process is started again", "service", v.name, "replica", k.number, "failures", failures, "in", pause, "why", why)
		v.suffers(k, failures, why)
		v.mu.Lock()
		k.trouble = why
		k.restarts++
		v.mu.Unlock()
	}
	begin := func(ctx context.Context) error {
		fresh, err := k.start(ctx)
		if err != nil {
			return err
		}
		old := current
		current = fresh
		v.publish(k, fresh)
		stable = time.After(v.supervisor.stable)
		if old != nil {
			v.supervisor.work.Go(func() { old.retire(v.supervisor.hard) })
		}
		return nil
	}
	for {
		var exited chan struct{}
		if current != nil {
			exited = current.exited
		}
		select {
		case <-k.ctx.Done():
			if current != nil {
				v.publish(k, nil)
				current.retire(v.supervisor.hard)
			}
			return
		case <-exited:
			dead := current
			current, stable = nil, nil
			v.publish(k, nil)
			failed(dead.ending())
		case <-stable:
			stable, failures = nil, 0
			v.suffers(k, 0, "")
		case <-restart.C:
			if current != nil {
				continue
			}
			err := begin(k.ctx)
			attempted()
			attempted = func() {}
			switch {
			case err == nil, k.ctx.Err() != nil:
			case errors.Is(err, errOutdated):
				restart.Reset(0)
			default:
				failed(err.Error())
			}
		case e := <-k.ends:
			if e.replica != current {
				close(e.done)
				continue
			}
			attempted = func() { close(e.done) }
			current, stable = nil, nil
			v.publish(k, nil)
			e.replica.terminate(v.supervisor.hard)
			v.mu.Lock()
			k.unhealthy++
			v.mu.Unlock()
			failed(e.why)
		case o := <-k.orders:
			ctx, cancel := context.WithCancel(o.ctx)
			release := context.AfterFunc(k.ctx, cancel)
			err := begin(ctx)
			release()
			cancel()
			if k.ctx.Err() != nil && err != nil {
				err = errStopped
			}
			o.done <- err
		}
	}
}

// start makes a process that takes connections.
func (k *slot) start(ctx context.Context) (*Replica, error) {
	v := k.service
	v.mu.Lock()
	c, era := v.cfg, v.era
	v.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	release := context.AfterFunc(era, cancel)
	defer release()
	r, err := v.supervisor.launch(v.name, k.number, c)
	if err != nil {
		return nil, err
	}
	if err := r.await(ctx, v.name); err != nil {
		r.end()
		if era.Err() != nil {
			return nil, errOutdated
		}
		return nil, err
	}
	r.log.Info("process is ready", "pid", r.Pid, "address", r.Address, "took", time.Since(r.begun).Round(time.Millisecond))
	return r, nil
}

// backoff is the pause before the next start after some that failed.
func backoff(failures int) time.Duration {
	return min(longestBackoff, firstBackoff<<min(failures-1, 20))
}

// jitter keeps processes that fail together from starting together.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }
