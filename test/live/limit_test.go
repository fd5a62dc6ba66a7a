package live

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/gorilla/websocket"
)

// ask sends a command and takes its reply; the id is its own.
func (c *raw) ask(command string) answer {
	c.Helper()
	c.say(`{"id":99,` + command[1:])
	return c.reply()
}

// TestEdges: each limit lets through what is as large as it, and nothing larger.
func TestEdges(t *testing.T) {
	t.Parallel()
	s := shared(t)
	one, two, three := hello(t, s, "raw"), hello(t, s, "raw"), hello(t, s, "raw")
	name := func(length int) string { return "plain:" + strings.Repeat("n", length-len("plain:")) }
	data := func(length int) string { return `"` + strings.Repeat("d", length-2) + `"` }
	for what, c := range map[string]struct {
		command string
		want    uint32
	}{
		"longest name":        {fmt.Sprintf(`{"subscribe":{"channel":%q}}`, name(255)), 0},
		"too long a name":     {fmt.Sprintf(`{"subscribe":{"channel":%q}}`, name(256)), 106},
		"largest publication": {`{"publish":{"channel":"small:edge","data":` + data(1024) + `}}`, 0},
		"too large":           {`{"publish":{"channel":"small:edge","data":` + data(1025) + `}}`, 106},
	} {
		if r := one.ask(c.command); r.Error.Code != c.want {
			t.Errorf("%s: %+v, want %d", what, r.Error, c.want)
		}
	}
	for i, c := range []*raw{one, two, three} {
		want := uint32(0)
		if i == 2 { // max_subscribers: 2
			want = 106
		}
		if r := c.ask(`{"subscribe":{"channel":"small:full"}}`); r.Error.Code != want {
			t.Errorf("subscriber %d: %+v", i+1, r.Error)
		}
	}
	refused := 0
	began := time.Now()
	for range 12 {
		if r := three.ask(`{"publish":{"channel":"small:fast","data":1}}`); r.Error.Code == 111 && r.Error.Temporary {
			refused++
		} else if r.Error.Code != 0 {
			t.Errorf("publishing fast: %+v", r.Error)
		}
	}
	if took := time.Since(began); took < 200*time.Millisecond && refused < 6 {
		t.Errorf("%d of 12 publications within %s were refused at 5 a second", refused, took)
	}
}

// TestExpiry: who brings no new token is disconnected, or taken out of the channel.
func TestExpiry(t *testing.T) {
	t.Parallel()
	s := shared(t)
	soon := func() int64 { return time.Now().Add(2 * time.Second).Unix() } // subtests wait for their turn
	t.Run("connection", func(t *testing.T) {
		t.Parallel()
		conn := open(t, s, "/websocket")
		conn.say(`{"id":1,"connect":{"token":"` + token(t, "ann", claims{"exp": soon()}) + `"}}`)
		if got := conn.closed(); got != 3005 {
			t.Errorf("an expired connection: %d", got)
		}
	})
	t.Run("subscription", func(t *testing.T) {
		t.Parallel()
		conn := hello(t, s, "ann")
		r := conn.ask(`{"subscribe":{"channel":"private:soon","token":"` + token(t, "ann", claims{"exp": soon(), "channel": "private:soon"}) + `"}}`)
		if r.Subscribe == nil || !r.Subscribe.Expires {
			t.Fatalf("%+v", r)
		}
		for {
			a, err := conn.next()
			if err != nil {
				t.Fatalf("an expired subscription: %v", err)
			}
			if a.Push != nil && a.Push.Unsubscribe != nil {
				if a.Push.Unsubscribe.Code != 2501 {
					t.Errorf("an expired subscription: %+v", a.Push.Unsubscribe)
				}
				return
			}
		}
	})
}

// TestNoPong: a client that does not answer pings is disconnected, one that does stays.
func TestNoPong(t *testing.T) {
	t.Parallel()
	s := shared(t)
	room, mute, alive := channel("plain"), hello(t, s, "mute"), hello(t, s, "alive")
	alive.ask(fmt.Sprintf(`{"subscribe":{"channel":%q}}`, room))
	gone := make(chan error, 1)
	go func() {
		for {
			if _, _, err := mute.ReadMessage(); err != nil {
				gone <- err
				return
			}
		}
	}()
	answered := make(chan answer, 1)
	go func() { // reads, so that pings are answered, up to the publication
		a, _ := alive.next()
		answered <- a
	}()
	if err := recv(t, gone, "end"); !websocket.IsCloseError(err, 3012) {
		t.Errorf("no pong: %v", err)
	}
	if err := enter(t, s.url("/websocket"), false, "ann", nil).say(t, room, `1`); err != nil {
		t.Fatal(err)
	}
	if a := recv(t, answered, "publication"); a.Push == nil || a.Push.Pub == nil {
		t.Errorf("who answers pings: %+v", a)
	}
}

// TestDelta: who asks for differences gets them, others do not.
func TestDelta(t *testing.T) {
	t.Parallel()
	s, room := shared(t), channel("chat")
	differs, plain := hello(t, s, "raw"), hello(t, s, "raw")
	if r := differs.ask(fmt.Sprintf(`{"subscribe":{"channel":%q,"delta":"fossil"}}`, room)); r.Subscribe == nil || !r.Subscribe.Delta {
		t.Fatalf("%+v", r)
	}
	plain.ask(fmt.Sprintf(`{"subscribe":{"channel":%q}}`, room))
	talker := enter(t, s.url("/websocket"), false, "bob", nil)
	long := strings.Repeat("a long text ", 100)
	for n := range 4 {
		if err := talker.say(t, room, fmt.Sprintf(`{"text":%q,"n":%d}`, long, n)); err != nil {
			t.Fatal(err)
		}
		if p := differs.push(); p.Delta != (n > 0) || n > 0 && len(p.Data) > 100 {
			t.Errorf("publication %d: delta %t, %d bytes", n, p.Delta, len(p.Data))
		}
		if p := plain.push(); p.Delta || len(p.Data) < len(long) {
			t.Errorf("publication %d for others: delta %t, %d bytes", n, p.Delta, len(p.Data))
		}
	}
}

// TestCache: a client that comes to a channel with recovery cache gets the latest publication at once.
func TestCache(t *testing.T) {
	t.Parallel()
	s, room := shared(t), channel("cache")
	conn := hello(t, s, "raw")
	for n := range 3 {
		if r := conn.ask(fmt.Sprintf(`{"publish":{"channel":%q,"data":%d}}`, room, n+1)); r.Publish == nil {
			t.Fatalf("%+v", r)
		}
	}
	r := conn.ask(fmt.Sprintf(`{"subscribe":{"channel":%q,"recover":true}}`, room))
	if in := r.Subscribe; in == nil || !in.Recovered || len(in.Publications) != 1 || string(in.Publications[0].Data) != "3" || in.Publications[0].Offset != 3 {
		t.Fatalf("%+v", r)
	}
	again := hello(t, s, "raw").ask(fmt.Sprintf(`{"subscribe":{"channel":%q,"recover":true,"offset":3,"epoch":%q}}`, room, r.Subscribe.Epoch))
	if in := again.Subscribe; in == nil || !in.Recovered || len(in.Publications) != 0 {
		t.Errorf("who has the latest already: %+v", again)
	}
	behind := hello(t, s, "raw").ask(fmt.Sprintf(`{"subscribe":{"channel":%q,"recover":true,"offset":1,"epoch":"another"}}`, room))
	if in := behind.Subscribe; in == nil || !in.Recovered || len(in.Publications) != 1 || in.Publications[0].Offset != 3 {
		t.Errorf("who is behind: %+v", behind)
	}
}

// TestSlow: a client that does not read is treated as its namespace says, and delays nobody.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := start(t, strings.Replace(defaults, "ping: 4s", "ping: 60s", 1)) // who reads nothing answers no ping
	const count, size = 400, 30_000                                      // more than the socket's buffers and the queue of 1 MiB
	for namespace, want := range map[string]string{"plain": "disconnect", "slowest": "drop", "latest": "drop", "resync": "resync"} {
		t.Run(namespace, func(t *testing.T) {
			room := channel(namespace)
			stalled := hello(t, s, "raw")
			if r := stalled.ask(fmt.Sprintf(`{"subscribe":{"channel":%q}}`, room)); r.Subscribe == nil {
				t.Fatalf("%+v", r)
			}
			reader := enter(t, s.url("/websocket"), false, "ann", nil).join(t, room, centrifuge.SubscriptionConfig{})
			talker := hello(t, s, "raw")
			padding := strings.Repeat("p", size)
			for n := range count {
				if r := talker.ask(fmt.Sprintf(`{"publish":{"channel":%q,"key":"k%d","data":{"n":%d,"padding":%q}}}`, room, n%3, n, padding)); r.Publish == nil {
					t.Fatalf("%+v", r)
				}
				if p := recv(t, reader.publications, "publication for who reads"); !strings.HasPrefix(string(p.Data), fmt.Sprintf(`{"n":%d,`, n)) {
					t.Fatalf("who reads got %.20s, not %d", p.Data, n)
				}
			}
			last, got, resync := -1, 0, false
			var tail []int
			for last != count-1 && !resync {
				a, err := stalled.next()
				if err != nil {
					if want != "disconnect" {
						t.Errorf("disconnected: %v", err)
					}
					return
				}
				if a.Push != nil && a.Push.Unsubscribe != nil {
					resync = a.Push.Unsubscribe.Code == 2500
				}
				if a.Push == nil || a.Push.Pub == nil {
					continue
				}
				var n int
				if _, err := fmt.Sscanf(string(a.Push.Pub.Data), `{"n":%d,`, &n); err != nil || n <= last {
					t.Fatalf("after %d came %.20s", last, a.Push.Pub.Data)
				}
				last, got = n, got+1
				if n >= count-3 {
					tail = append(tail, n)
				}
			}
			if want == "drop" && len(tail) != 3 {
				t.Errorf("of the latest three, one of each key, came %v", tail)
			}
			if want == "disconnect" || got == count || resync != (want == "resync") {
				t.Errorf("got %d of %d, the last was %d, told to subscribe again: %t", got, count, last, resync)
			}
		})
	}
	if left := s.left(); left != "" {
		t.Errorf("when all clients are gone there is\n%s", left)
	}
}

// TestReload: a new configuration applies to connections that are open, and closes none.
func TestReload(t *testing.T) {
	t.Parallel()
	s := start(t, defaults)
	ann := enter(t, s.url("/websocket"), false, "ann", nil)
	sub := ann.join(t, "chat:reload", centrifuge.SubscriptionConfig{})
	bob := hello(t, s, "bob")
	if r := bob.ask(`{"subscribe":{"channel":"added:x"}}`); r.Error.Code != 102 {
		t.Errorf("before: %+v", r)
	}
	changed := strings.NewReplacer("plain: {subscribe: \"true\", publish: \"true\"", "plain: {subscribe: \"true\", publish: \"\"",
		"commands_per_second: 5000", "commands_per_second: 20\n  handshakes_per_second: 2\n  connections_per_user: 1", "size: 10000", "size: 3").Replace(defaults)
	s.configure(changed + "    added: {subscribe: user == \"bob\"}\n")
	_ = s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "reload", func() bool { return s.logged("configuration is read again") })
	if r := bob.ask(`{"subscribe":{"channel":"added:x"}}`); r.Error.Code != 0 {
		t.Errorf("a new namespace: %+v", r)
	}
	if r := bob.ask(`{"publish":{"channel":"plain:x","data":1}}`); r.Error.Code != 103 {
		t.Errorf("a rule that changed: %+v", r)
	}
	for n := range 5 {
		if err := ann.say(t, "chat:reload", fmt.Sprint(n)); err != nil {
			t.Error(err)
		}
		recv(t, sub.publications, "publication")
	}
	if h, err := sub.History(t.Context(), centrifuge.WithHistoryLimit(10)); code(err) != 0 || len(h.Publications) != 3 || h.Offset != 5 {
		t.Errorf("a shorter history: %+v %v", h, err)
	}
	for i := 0; ; i++ {
		if r := bob.ask(`{"rpc":{"method":"nobody"}}`); r.Error.Code == 111 {
			break
		}
		if i > 100 {
			t.Error("100 commands at once with a limit of 20 a second")
			break
		}
	}
	second := open(t, s, "/websocket")
	second.say(`{"id":1,"connect":{"token":"` + token(t, "bob", nil) + `"}}`)
	if got := second.closed(); got != 3504 {
		t.Errorf("a second connection of a user: %d", got)
	}
	busy := 0
	for range 6 {
		if status(t, "GET", "http://"+s.public+"/live/uni_sse?channels=chat:x", "", nil) == 503 {
			busy++
		}
	}
	if busy == 0 {
		t.Error("6 handshakes at once with a limit of 2 a second")
	}
	s.configure(changed + "    broken: {subscribe: user ==}\n")
	_ = s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "complaint", func() bool { return s.logged("HR9003") })
	if err := ann.say(t, "chat:reload", `"after"`); err != nil || len(ann.disconnected)+len(ann.connected) > 0 {
		t.Errorf("after a broken configuration: %v", err)
	}
}
