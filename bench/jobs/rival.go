package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// rival is a queue on Redis: the server, its workers, and a door process that enqueues with the queue's own client.
type rival struct {
	title  string
	states string                     // its durability in words
	work   func(workers int) []string // command of the workers
	door   func(port string) []string // command of the door
	count  func(*redis) (int, error)  // results stored
	fleet  bool                       // work starts one process: start as many as there are workers

	redis     *redis
	mu        sync.Mutex // guards processes against supervise
	processes []*process
	stopping  bool
	front     *process
	listen    string
}

func python(argv ...string) []string {
	return append([]string{filepath.Join(buildDir, "venv/bin", argv[0])}, argv[1:]...)
}

func pythonDoor(module string) func(string) []string {
	return func(port string) []string {
		return python("uvicorn", module+":app", "--port", port, "--log-level", "warning", "--no-access-log")
	}
}

func rivals() []contender {
	keys := func(r *redis) (int, error) {
		if _, err := r.command("SELECT", "1"); err != nil {
			return 0, err
		}
		return r.integer("DBSIZE")
	}
	return []contender{
		&rival{
			title: "Celery", states: "acks_late, prefork; Redis appendfsync everysec",
			work: func(workers int) []string {
				return python("celery", "-A", "celery_app", "worker", "--pool", "prefork", "--concurrency", fmt.Sprint(workers),
					"--loglevel", "warning", "--without-gossip", "--without-mingle")
			},
			door: pythonDoor("celery_door"), count: keys,
		},
		&rival{
			title: "Dramatiq", states: "acks late (its default); Redis appendfsync everysec",
			work: func(workers int) []string {
				return python("dramatiq", "dramatiq_app", "--processes", fmt.Sprint(workers))
			},
			door: pythonDoor("dramatiq_door"), count: keys,
		},
		&rival{
			title: "BullMQ", states: "jobs in Node, not Python; Redis appendfsync everysec", fleet: true,
			work:  func(int) []string { return []string{"node", filepath.Join(buildDir, "node/bullmq_worker.mjs")} },
			door:  func(string) []string { return []string{"node", filepath.Join(buildDir, "node/bullmq_door.mjs")} },
			count: func(r *redis) (int, error) { return r.integer("ZCARD", "bull:bench:completed") },
		},
	}
}

func (r *rival) name() string       { return r.title }
func (r *rival) durability() string { return r.states }
func (r *rival) addr() string       { return r.listen }
func (r *rival) client() []int      { return []int{r.front.pid()} }

func (r *rival) start(ctx context.Context, setup setup) (err error) {
	r.redis, r.front, r.processes, r.stopping, r.listen = nil, nil, nil, false, rig.FreeAddr()
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	appendfsync := "everysec"
	if setup.durable != "" {
		appendfsync = setup.durable
	}
	if r.redis, err = startRedis(ctx, setup.dir, appendfsync); err != nil {
		return err
	}
	env := append(setup.env(), "BENCH_REDIS="+r.redis.addr, "BENCH_PORT="+rig.Port(r.listen), "BENCH_REQUEUE=1")
	fleet := 1
	if r.fleet {
		fleet = setup.workers
	}
	for i := range fleet {
		start := func() (*process, error) {
			return spawn(fmt.Sprintf("workers-%d", i), setup.dir, env, r.work(setup.workers)...)
		}
		p, err := start()
		if err != nil {
			return err
		}
		r.processes = append(r.processes, p)
		go r.supervise(i, p, start)
	}
	if r.front, err = spawn("door", setup.dir, env, r.door(rig.Port(r.listen))...); err != nil {
		return err
	}
	return r.front.listening(ctx, r.listen)
}

// supervise starts a worker process again as soon as it has ended, as a service manager or container platform would.
func (r *rival) supervise(slot int, p *process, start func() (*process, error)) {
	for {
		<-p.dead
		r.mu.Lock()
		if r.stopping {
			r.mu.Unlock()
			return
		}
		again, err := start()
		if err == nil {
			r.processes[slot] = again
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
		p = again
	}
}

func (r *rival) stop() {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	if r.front != nil {
		r.front.stop()
	}
	for _, p := range r.processes {
		p.stop()
	}
	if r.redis != nil {
		r.redis.stop()
	}
}

func (r *rival) enqueue(into []byte, function string, index int) []byte {
	return post(into, fmt.Sprintf("/jobs/%s?index=%d", function, index), "application/json", "")
}

func (r *rival) call(into []byte, index int) []byte {
	return post(into, fmt.Sprintf("/call?index=%d", index), "application/json", "")
}

func (r *rival) static() (string, []byte) { return r.listen, get(nil, "/static/file") }

// bulk has the door enqueue: its CPU is the client's, and no request is made for each job.
func (r *rival) bulk(ctx context.Context, first, count int) error {
	conn, err := load.Dial(r.listen)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Deadline(time.Unix(1, 0)) })()
	status, body, err := conn.Do(post(nil, fmt.Sprintf("/bulk?first=%d&count=%d", first, count), "application/json", ""))
	if err == nil && status != 202 {
		err = fmt.Errorf("%s: bulk enqueue: status %d: %s", r.title, status, body)
	}
	return err
}

func (r *rival) recorded() (int, error) { return r.count(r.redis) }

func (r *rival) servers() []int {
	roots := []int{r.redis.pid()}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		roots = append(roots, p.pid())
	}
	return roots
}
