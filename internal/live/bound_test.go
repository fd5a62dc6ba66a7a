package live

import (
	"fmt"
	"testing"

	"github.com/headrace/headrace/internal/config"
)

// What a history reply and a recovery hold ends at the limits of the configuration, exactly there.
func TestHistoryLimits(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.MaxHistory, c.MaxRecovery = 3, 5 }, nil)
	for i := range 10 {
		if _, err := r.Publish(t.Context(), "chat:a", fmt.Appendf(nil, `{"n":%d}`, i), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p := r.peer("/websocket")
	p.enter("")
	epoch := p.ask(`{"history":{"channel":"chat:a"}}`).History.Epoch
	for limit, want := range map[int]int{0: 0, 2: 2, 3: 3, 4: 3, -1: 3} {
		for _, reverse := range []bool{false, true} {
			if got := p.ask(fmt.Sprintf(`{"history":{"channel":"chat:a","limit":%d,"reverse":%t}}`, limit, reverse)).History; len(got.Publications) != want || got.Offset != 10 {
				t.Errorf("limit %d: %d publications of %d", limit, len(got.Publications), got.Offset)
			}
		}
	}
	for _, c := range []struct {
		offset    int
		recovered bool
		got       int
	}{{4, false, 0}, {5, true, 5}, {10, true, 0}} {
		got := p.ask(fmt.Sprintf(`{"subscribe":{"channel":"chat:a","recover":true,"offset":%d,"epoch":%q}}`, c.offset, epoch)).Subscribe
		if got.Recovered != c.recovered || len(got.Publications) != c.got || !got.WasRecovering {
			t.Errorf("recovery behind %d: %v", c.offset, got)
		}
		p.ask(`{"unsubscribe":{"channel":"chat:a"}}`)
	}
	// The limits change without a new connection.
	next := *r.config
	next.MaxHistory, next.MaxRecovery = 4, 6
	if err := r.Configure(&next); err != nil {
		t.Fatal(err)
	}
	if got := p.ask(`{"history":{"channel":"chat:a","limit":-1}}`).History; len(got.Publications) != 4 {
		t.Errorf("%d publications after the change", len(got.Publications))
	}
	if got := p.ask(fmt.Sprintf(`{"subscribe":{"channel":"chat:a","recover":true,"offset":4,"epoch":%q}}`, epoch)).Subscribe; !got.Recovered || len(got.Publications) != 6 {
		t.Errorf("recovery after the change: %v", got)
	}
}

// So many commands of one connection wait for functions, and no more.
func TestCallsAtATime(t *testing.T) {
	a := &app{slow: make(chan struct{})}
	r := newRig(t, func(c *config.Live) { c.MaxCalls = 2 }, func(d *Deps) { d.Authority = a })
	p := r.peer("/websocket")
	p.enter("")
	for id := 11; id < 13; id++ {
		p.send(fmt.Sprintf(`{"id":%d,"publish":{"channel":"moderated-slow","data":1}}`, id))
	}
	if got := code(p.ask(`{"publish":{"channel":"moderated-slow","data":1}}`)); got != 111 {
		t.Errorf("the third: %d", got)
	}
	other := r.peer("/websocket")
	other.enter("")
	other.send(`{"id":11,"publish":{"channel":"moderated-slow","data":1}}`)
	close(a.slow)
	for _, p := range []*peer{p, p, other} {
		if reply := p.must(); reply.Publish == nil {
			t.Errorf("%v", reply)
		}
	}
	eventually(t, "there is room again", func() bool { return code(p.ask(`{"publish":{"channel":"moderated-slow","data":1}}`)) == 0 })
}
