package merge

import (
	"time"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// state of a part in a run.
type state byte

const (
	waiting state = iota
	running
	good
	failed
)

// run is one request: everything is done by its own goroutine, but for waiting for answers that do not come at once.
type run struct {
	*shared
	merge    *Merge
	request  *exchange.Request
	done     chan outcome // of those that goroutines wait for
	deadline time.Time
	left     int // parts that are neither good nor failed
	parts    []progress
	begun    []pending // on their way, and nobody waits for them yet
}

// progress is that of a part.
type progress struct {
	state    state
	missing  int // parts it waits for
	deadline time.Time
	reply    reply
	members  []member
	err      error
}

// pending is a part that was begun.
type pending struct {
	number int
	*question
}

// outcome is what a goroutine brings.
type outcome struct {
	part       int
	reply      reply
	err, cause error
}

// fail is that a required part failed, so that there is no answer.
type fail struct {
	part int
	err  error
}

// part implements values.
func (g *run) part(i int, path []string) ([]byte, bool) { return find(g.parts[i].reply.body, path) }

// ask begins with all parts that wait for nobody, and returns when all are over, or a required one failed.
func (g *run) ask() *fail {
	defer g.leave()
	for i, p := range g.merge.parts {
		g.parts[i].missing = len(p.waits)
	}
	for i := range g.merge.parts {
		if g.parts[i].state == waiting && g.parts[i].missing == 0 {
			if f := g.start(i); f != nil {
				return f
			}
		}
	}
	if f := g.prompt(); f != nil || g.left == 0 {
		return f
	}
	timer := time.NewTimer(time.Until(g.next()))
	defer timer.Stop()
	for g.left > 0 {
		select {
		case o := <-g.done:
			if g.parts[o.part].state != running { // it took too long
				o.reply.release()
				continue
			}
			if f := g.arrived(o); f != nil {
				return f
			}
			if f := g.prompt(); f != nil {
				return f
			}
		case now := <-timer.C:
			for i := range g.parts {
				if at := &g.parts[i]; at.state == running && !at.deadline.After(now) {
					if f := g.failed(i, problem.New("HR4086", "%s did not answer in time", g.merge.parts[i].title), nil); f != nil {
						return f
					}
				}
			}
			timer.Reset(time.Until(g.next()))
		}
	}
	return nil
}

// next is when the next part has taken too long.
func (g *run) next() time.Time {
	next := g.deadline
	for i := range g.parts {
		if at := &g.parts[i]; at.state == running && at.deadline.Before(next) {
			next = at.deadline
		}
	}
	return next
}

// start asks one part.
func (g *run) start(i int) *fail {
	p, at := g.merge.parts[i], &g.parts[i]
	q := &question{part: p, shared: g.shared, deadline: g.deadline}
	if p.timeout > 0 {
		if own := time.Now().Add(p.timeout); own.Before(q.deadline) {
			q.deadline = own
		}
	}
	at.deadline, at.state = q.deadline, running
	var err error
	if p.call == "" {
		if q.path, err = p.path.append(make([]byte, 0, 128), g); err != nil {
			return g.failed(i, err, nil)
		}
		q.path = g.withQuery(q.path)
		q.hash = hash(p.upstream.Config(), g.request)
	}
	switch {
	case p.body != nil:
		if q.body, err = p.body.append(nil, g); err != nil {
			return g.failed(i, err, nil)
		}
	case p.call != "":
		q.body = []byte("{}")
	}
	if p.call == "" {
		if err, cause := q.begin(); err != nil {
			return g.failed(i, err, cause)
		}
	}
	if w := (pending{i, q}); q.sent {
		g.begun = append(g.begun, w)
	} else {
		go g.wait(w)
	}
	return nil
}

// wait brings the outcome of a part when it is there.
func (g *run) wait(w pending) { g.done <- w.outcome(g.merge) }

func (w *pending) outcome(m *Merge) outcome {
	o := outcome{part: w.number}
	o.reply, o.err, o.cause = w.ask(m)
	return o
}

// promptly is how long the goroutine of the request itself waits for parts: waking others costs more than it takes an upstream that is near to answer.
const promptly = time.Millisecond

// prompt takes what comes at once, one after another, and has others wait for the rest.
func (g *run) prompt() *fail {
	defer g.leave()
	for until := time.Now().Add(promptly); len(g.begun) > 0 && g.begun[0].prompt(time.Until(until)); {
		w := g.begun[0]
		g.begun = g.begun[1:]
		if f := g.arrived(w.outcome(g.merge)); f != nil {
			return f
		}
	}
	return nil
}

// leave has a goroutine wait for each part that is on its way.
func (g *run) leave() {
	for _, w := range g.begun {
		go g.wait(w)
	}
	g.begun = nil
}

func (g *run) withQuery(path []byte) []byte {
	if len(g.query) == 0 {
		return path
	}
	from := len(path)
	path = append(path, g.query...)
	path[from] = '?'
	for _, c := range path[:from] {
		if c == '?' {
			path[from] = '&'
			break
		}
	}
	return path
}

// arrived takes the answer of a part.
func (g *run) arrived(o outcome) *fail {
	p, at := g.merge.parts[o.part], &g.parts[o.part]
	at.reply = o.reply
	err := o.err
	if err == nil {
		err = p.look(at)
	}
	if err == nil && len(p.needed) > 0 && len(p.target) == 0 {
		err = strictjson.Check(at.reply.body, depth)
		if err != nil {
			err = p.unusable(err)
		}
	}
	if err == nil {
		at.members, err = p.take(nil, at.reply.body)
	}
	if err != nil {
		return g.failed(o.part, err, o.cause)
	}
	at.state = good
	g.left--
	p.count.good.Inc()
	for _, i := range p.needed {
		if g.parts[i].missing--; g.parts[i].missing == 0 && g.parts[i].state == waiting {
			if f := g.start(i); f != nil {
				return f
			}
		}
	}
	return nil
}

// look tells what is wrong with the head of an answer. One without body is null.
func (p *part) look(at *progress) error {
	switch a := &at.reply; {
	case a.status < 200 || a.status > 299:
		return unexpected(p.title, a.status)
	case a.header("Content-Encoding") != "" && a.header("Content-Encoding") != "identity":
		return problem.New("HR4087", "the answer of %s is encoded as %.40q", p.title, a.header("Content-Encoding"))
	case len(a.body) == 0 && (a.status == 204 || a.status == 205):
		a.body = []byte("null")
		if p.group == nil {
			a.body = []byte("{}")
		}
	}
	return nil
}

// failed notes that a part has failed, and with it those that wait for it. It is not nil if there can be no answer.
func (g *run) failed(i int, err, cause error) *fail {
	p, at := g.merge.parts[i], &g.parts[i]
	at.state, at.err = failed, err
	g.left--
	if problem.From(err).Code == "HR4086" {
		p.count.late.Inc()
	} else {
		p.count.failed.Inc()
	}
	if cause == nil {
		cause = err
	}
	g.merge.deps.Log.Warn("part of a merged answer failed", "route", g.merge.title, "part", p.title, observe.Error(cause))
	if !p.optional {
		return &fail{i, err}
	}
	for _, j := range p.needed {
		if g.parts[j].state == waiting {
			if f := g.failed(j, problem.New("HR4085", "%s needs %s, which failed", g.merge.parts[j].title, p.title), nil); f != nil {
				return f
			}
		}
	}
	return nil
}

// release gives back the answers.
func (g *run) release() {
	for i := range g.parts {
		g.parts[i].reply.release()
	}
}
