package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/problem"
)

// app is an Authority written in Go, as the app's functions would be.
type app struct{ slow chan struct{} }

func (a *app) Handles(event, channel string) bool {
	return event == "connect" || strings.HasPrefix(channel, "moderated")
}

func (a *app) Ask(_ context.Context, event string, request any) ([]byte, error) {
	text, _ := json.Marshal(request)
	var r struct {
		User, Channel string
		Data          json.RawMessage
	}
	_ = json.Unmarshal(text, &r)
	switch {
	case event == "connect" && string(r.Data) == `"refused"`:
		return []byte(`{"disconnect":{"code":4500,"reason":"go away"}}`), nil
	case event == "connect" && string(r.Data) == `"known"`:
		return []byte(`{}`), nil
	case event == "connect":
		return []byte(`{"user":"ada","info":{"name":"Ada"},"channels":["welcome"],"data":{"hello":true}}`), nil
	case r.Channel == "moderated-closed":
		return []byte(`{"error":{"code":403,"message":"closed"}}`), nil
	case r.Channel == "moderated-broken":
		return nil, errors.New("broken")
	case event == "publish" && strings.Contains(string(r.Data), "bad"):
		return []byte(`{"data":"good"}`), nil
	case r.Channel == "moderated-slow":
		<-a.slow
	}
	return []byte(`{}`), nil
}

func (a *app) Call(_ context.Context, function string, args []byte, caller identity.Caller) ([]byte, error) {
	if function == "refuses" {
		return nil, problem.New("HR2020", "no such order").Answering(404)
	}
	switch function {
	case "who":
		caller.Client = ""
		return json.Marshal(caller)
	case "denies":
		return nil, fmt.Errorf("around it: %w", &Failure{1003, "not now", false})
	case "ends":
		return nil, &Disconnect{4501, "go away"}
	}
	return fmt.Appendf(nil, `{"function":%q,"args":%s}`, function, args), nil
}

func TestAuthority(t *testing.T) {
	a := &app{slow: make(chan struct{})}
	r := newRig(t, func(c *config.Live) {
		c.Anonymous = false
		c.RPC = []string{"echo", "refuses", "denies", "ends", "who"}
	}, func(d *Deps) { d.Authority = a })
	p := r.peer("/websocket")
	hello := p.enter("")
	if string(hello.Data) != `{"hello":true}` || hello.Subs["welcome"] == nil || r.Connections("ada", 1) == nil {
		t.Fatal(hello)
	}
	q := r.peer("/websocket")
	q.send(`{"id":1,"connect":{"data":"refused"}}`)
	if c := q.over(); c != 4500 {
		t.Error(c)
	}
	// One that takes its time holds nobody up.
	p.send(`{"id":100,"subscribe":{"channel":"moderated-slow"}}`)
	for command, want := range map[string]int{
		`{"subscribe":{"channel":"moderated-closed"}}`: 403,
		`{"subscribe":{"channel":"moderated-broken"}}`: 100,
		`{"subscribe":{"channel":"moderated-slow"}}`:   105,
		`{"subscribe":{"channel":"moderated"}}`:        0,
		`{"rpc":{"method":"other","data":{}}}`:         104,
		`{"rpc":{"method":"refuses","data":{}}}`:       107,
		`{"rpc":{"method":"denies","data":{}}}`:        1003,
	} {
		if got := code(p.ask(command)); got != want {
			t.Errorf("%s: %d instead of %d", command, got, want)
		}
	}
	if reply := p.ask(`{"rpc":{"method":"echo","data":{"x":1}}}`); string(reply.Rpc.GetData()) != `{"function":"echo","args":{"x":1}}` {
		t.Error(reply)
	}
	if reply := p.ask(`{"rpc":{"method":"who"}}`); string(reply.Rpc.GetData()) != `{"User":"ada","Method":"function","Claims":"","Client":""}` {
		t.Error(reply)
	}
	known := r.peer("/websocket")
	known.send(fmt.Sprintf(`{"id":1,"connect":{"data":"known","token":%q}}`, token(t, map[string]any{"sub": "ben", "role": "clerk"})))
	known.must()
	known.id = 1
	if reply := known.ask(`{"rpc":{"method":"who"}}`); string(reply.Rpc.GetData()) != `{"User":"ben","Method":"jwt","Claims":"{\"role\":\"clerk\",\"sub\":\"ben\"}","Client":""}` {
		t.Errorf("%s", reply.Rpc.GetData())
	}
	known.send(`{"id":9,"rpc":{"method":"ends"}}`)
	if c := known.over(); c != 4501 {
		t.Error(c)
	}
	close(a.slow)
	if reply := p.must(); reply.Id != 100 || reply.Subscribe == nil {
		t.Error(reply)
	}
	p.id++
	p.send(fmt.Sprintf(`{"id":%d,"publish":{"channel":"moderated","data":"bad"}}`, p.id))
	for range 2 { // the reply and the publication
		if reply := p.must(); reply.Push != nil && string(reply.Push.Pub.Data) != `"good"` || reply.Error != nil {
			t.Error(reply)
		}
	}
}

// counter is a Source whose channels count.
type counter struct {
	mu    sync.Mutex
	all   []*protocol.Publication
	more  chan struct{}
	watch int

	broken chan error // ends the next one who follows
}

func (c *counter) Namespace() string { return "count" }

func (c *counter) Allow(_, token string) error {
	if token != "open" {
		return errors.New("wrong token")
	}
	return nil
}

func (c *counter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.all = append(c.all, &protocol.Publication{Offset: uint64(len(c.all) + 1), Data: []byte(`1`)})
	}
	close(c.more)
	c.more = make(chan struct{})
}

func (c *counter) Read(_ context.Context, _ string, since uint64) ([]*protocol.Publication, history.Position, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[min(since, uint64(len(c.all))):], history.Position{Offset: uint64(len(c.all)), Epoch: "e"}, nil
}

func (c *counter) Follow(ctx context.Context, _ string, since uint64, deliver func(*protocol.Publication)) error {
	c.mu.Lock()
	c.watch++
	broken := c.broken
	c.broken = nil
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.watch--; c.mu.Unlock() }()
	for {
		c.mu.Lock()
		some, more := c.all[since:], c.more
		c.mu.Unlock()
		for _, p := range some {
			deliver(p)
			since++
		}
		select {
		case <-more:
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestSource(t *testing.T) {
	c := &counter{more: make(chan struct{})}
	r := newRig(t, nil, func(d *Deps) { d.Sources = []Source{c} })
	c.add(3)
	p := r.peer("/websocket")
	p.enter("")
	for command, want := range map[string]int{
		`{"subscribe":{"channel":"count:a"}}`:               103,
		`{"subscribe":{"channel":"count:a","token":"x"}}`:   103,
		`{"publish":{"channel":"count:a","data":1}}`:        108,
		`{"history":{"channel":"count:a"}}`:                 103,
		`{"presence":{"channel":"count:a"}}`:                103,
		`{"subscribe":{"channel":"count:","token":"open"}}`: 107,
	} {
		if got := code(p.ask(command)); got != want {
			t.Errorf("%s: %d instead of %d", command, got, want)
		}
	}
	s := p.ask(`{"subscribe":{"channel":"count:a","token":"open"}}`).Subscribe
	if len(s.Publications) != 3 || !s.Recoverable || s.Epoch != "e" || s.Offset != 0 {
		t.Fatal(s)
	}
	c.add(2)
	for want := uint64(4); want <= 5; want++ {
		if push := p.push(); push.Pub == nil || push.Pub.Offset != want {
			t.Fatal(push)
		}
	}
	q := r.peer("/websocket")
	q.enter("")
	if s := q.ask(`{"subscribe":{"channel":"count:a","token":"open","recover":true,"epoch":"e","offset":4}}`).Subscribe; !s.Recovered || len(s.Publications) != 1 {
		t.Fatal(s)
	}
	_ = p.conn.Close()
	_ = q.conn.Close()
	eventually(t, "nothing is followed", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.watch == 0 })
}

// A source that fails while it is followed, or that ended and goes on later, is followed again.
func TestSourceIsFollowedAgain(t *testing.T) {
	for _, err := range []error{errors.New("broken"), nil} {
		t.Run(fmt.Sprint(err), func(t *testing.T) {
			c := &counter{more: make(chan struct{}), broken: make(chan error)}
			broken := c.broken
			r := newRig(t, nil, func(d *Deps) { d.Sources = []Source{c} })
			p := r.peer("/websocket")
			p.enter("")
			p.ask(`{"subscribe":{"channel":"count:a","token":"open"}}`)
			broken <- err
			eventually(t, "nobody follows", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.watch == 0 })
			c.add(2)
			if err != nil {
				if push := p.push(); push.Unsubscribe == nil || push.Unsubscribe.Code != 2500 {
					t.Fatal(push)
				}
			} else {
				eventually(t, "it is forgotten", func() bool { r.feeds.mu.Lock(); defer r.feeds.mu.Unlock(); return len(r.feeds.all) == 0 })
				p.ask(`{"unsubscribe":{"channel":"count:a"}}`)
			}
			if s := p.ask(`{"subscribe":{"channel":"count:a","token":"open","recover":true,"epoch":"e"}}`).Subscribe; s == nil || !s.Recovered || len(s.Publications) != 2 {
				t.Fatal(s)
			}
			c.add(1)
			if push := p.push(); push.Pub == nil || push.Pub.Offset != 3 {
				t.Fatal(push)
			}
		})
	}
}
