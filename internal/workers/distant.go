package workers

import (
	"bytes"
	"encoding/json"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
	"github.com/headrace/headrace/internal/workers/process"
)

// distant is the process behind a remote connection: its agent sends the signals and tells how it ended.
type distant struct {
	conn   net.Conn
	exited chan struct{}
	once   sync.Once
	told   bool
	exit   process.Exit
	reason string
}

// Signal asks the agent. SIGUSR1 is left to it: it follows every cancel frame. The connection ends soon after SIGKILL, for an
// agent that does not answer is as good as dead.
func (d *distant) Signal(sig syscall.Signal) error {
	step := 3
	switch sig {
	case syscall.SIGUSR1:
		return nil
	case syscall.SIGKILL:
		step = 4
	}
	body, err := json.Marshal(map[string]any{"reason": "cancelled", "step": step})
	if err != nil {
		return err
	}
	go func() {
		if step == 4 {
			time.AfterFunc(answerWait, func() { _ = d.conn.Close() })
		}
		_, _ = d.conn.Write(frame.Append(nil, frame.Cancel, 0, body))
	}()
	return nil
}

// answerWait is how long an agent may take to tell how a killed process ended.
const answerWait = 2 * time.Second

func (d *distant) Drain()                  {}
func (d *distant) Settle()                 {}
func (d *distant) Close()                  { _ = d.conn.Close() }
func (d *distant) Exited() <-chan struct{} { return d.exited }
func (d *distant) Exit() process.Exit      { return d.exit }

// tell takes the agent's account of the end.
func (d *distant) tell(body []byte) {
	var told struct {
		Code   int    `json:"code"`
		Signal int    `json:"signal"`
		MaxRSS int64  `json:"max_rss"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(body, &told) == nil {
		d.told, d.reason = true, told.Reason
		d.exit = process.Exit{Code: told.Code, Signal: syscall.Signal(told.Signal), MaxRSS: told.MaxRSS}
	}
}

// hangUp is called by the reader at the end of the connection, which is the end of the worker.
func (d *distant) hangUp() {
	d.once.Do(func() {
		if !d.told {
			d.exit, d.reason = process.Exit{Code: -1}, "lost"
		}
		close(d.exited)
	})
}

// join makes a worker of a remote connection whose preface was accepted; it takes tasks with its first credit.
func (p *Pool) join(conn net.Conn, from string) error {
	p.mu.Lock()
	p.names++
	name := p.cfg.Name + "-" + from
	closing := p.closing
	p.mu.Unlock()
	if closing {
		return problem.New("HR2014", "pool %s is stopping", p.cfg.Name)
	}
	w := p.newWorker(name)
	w.remote = true
	w.read = frame.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(p.cfg.StartTimeout))
	f, err := w.read.Next()
	if err != nil {
		return err
	}
	var h hello
	if f.Kind != frame.Hello || json.Unmarshal(f.Body, &h) != nil || h.Protocol != frame.Version {
		return problem.New("HR6001", "remote worker %s sent no hello of protocol %d", name, frame.Version)
	}
	_ = conn.SetReadDeadline(time.Time{})
	w.adopt(&distant{conn: conn, exited: make(chan struct{})}, conn, h.Pid, h)
	select {
	case <-w.ready:
	case <-w.gone:
		return nil
	}
	p.mu.Lock()
	if p.closing || w.state == Dead {
		w.kill("drain")
	} else {
		if p.cfg.Remote && !p.knows(h) {
			before := p.gen
			p.gen = &generation{}
			p.gen.learn(h)
			p.rebind(before)
		}
		p.workers = append(p.workers, w)
		p.serve(time.Now())
	}
	p.mu.Unlock()
	p.tellFree()
	<-w.gone
	return nil
}

// knows tells whether the functions are those the pool has.
func (p *Pool) knows(h hello) bool {
	for _, f := range h.Functions {
		if known := p.gen.byName[f.Name]; known == nil || known.Kind != f.Kind || !bytes.Equal(known.Args, f.Args) {
			return false
		}
	}
	return len(h.Functions) == len(p.gen.functions)
}
