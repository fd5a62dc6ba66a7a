package live

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

func TestConnect(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Anonymous = false; c.ConnectionsPerUser = 2 }, nil)
	expect := func(want int, claims string) {
		t.Helper()
		p := r.peer("/websocket")
		p.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, claims))
		if reply, err := p.next(); err == nil {
			if code(reply) != want {
				t.Errorf("%v instead of %d", reply, want)
			}
		} else if c, ok := err.(*closed); !ok || c.code != want {
			t.Errorf("%v instead of %d", err, want)
		}
	}
	now := time.Now().Unix()
	expect(3507, "")
	expect(3500, "nonsense")
	expect(3500, "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.")
	expect(109, token(t, map[string]any{"sub": "42", "exp": now - 10}))
	expect(0, token(t, map[string]any{"sub": "42", "exp": now + 10}))
	eventually(t, "the connection is gone or counted", func() bool { return r.Info().Users == 1 })
	expect(0, token(t, map[string]any{"sub": "42"}))
	expect(3504, token(t, map[string]any{"sub": "42"}))
	expect(0, token(t, map[string]any{"sub": "43"}))
}

func TestServerSideSubscriptions(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.peer("/websocket")
	hello := p.enter(token(t, map[string]any{"sub": "42", "info": map[string]any{"name": "Ada"}, "channels": []string{"a", "chat:b"},
		"subs": map[string]any{"c": map[string]any{"data": map[string]any{"x": 1}}}}))
	if len(hello.Subs) != 3 || !hello.Subs["chat:b"].Recoverable || string(hello.Subs["c"].Data) != `{"x":1}` || hello.Ping != 25 || !hello.Pong {
		t.Fatalf("connect: %v", hello)
	}
	if push := p.push(); push.Join == nil || push.Join.Info.User != "42" || string(push.Join.Info.ConnInfo) != `{"name":"Ada"}` {
		t.Fatalf("push: %v", push)
	}
	for _, channel := range []string{"a", "chat:b", "c"} {
		if _, err := r.Publish(t.Context(), channel, []byte(`1`), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		if push := p.push(); push.Pub == nil || push.Channel != channel {
			t.Fatalf("push: %v", push)
		}
	}
	if n, err := r.Subscribe("later", Whom{User: "42"}, SubscribeOptions{}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if push := p.push(); push.Subscribe == nil || push.Channel != "later" {
		t.Fatalf("push: %v", push)
	}
	if n := r.Unsubscribe("a", Whom{Client: hello.Client}); n != 1 {
		t.Fatal(n)
	}
	if push := p.push(); push.Unsubscribe == nil || push.Unsubscribe.Code != 2000 {
		t.Fatalf("push: %v", push)
	}
	if n := r.Refresh(Whom{User: "42"}, time.Now().Unix()+100, false); n != 1 {
		t.Fatal(n)
	}
	if push := p.push(); push.Refresh == nil || !push.Refresh.Expires || push.Refresh.Ttl == 0 {
		t.Fatalf("push: %v", push)
	}
	eventually(t, "the channel is left", func() bool { return len(r.Channels("*a*")) == 2 })
	if len(r.Connections("42", 10)) != 1 || r.Channels("chat:b")[0].Subscribers != 1 {
		t.Fatal(r.Connections("42", 10), r.Channels(""))
	}
	if n := r.Disconnect(Whom{User: "42"}, Disconnect{}, ""); n != 1 {
		t.Fatal(n)
	}
	if c := p.over(); c != 3503 {
		t.Fatal(c)
	}
	eventually(t, "it is gone", func() bool {
		i := r.Info()
		return i.Connections == 0 && i.Channels == 0 && i.Users == 0 && i.Subscriptions == 0
	})
}

// What a reconnect asks for in its connect command is recovered for server-side subscriptions.
func TestServerSideRecovery(t *testing.T) {
	r := newRig(t, nil, nil)
	claims := token(t, map[string]any{"sub": "42", "channels": []string{"chat:b"}})
	p := r.peer("/websocket")
	sub := p.enter(claims).Subs["chat:b"]
	_ = p.conn.Close()
	for range 3 {
		if _, err := r.Publish(t.Context(), "chat:b", []byte(`1`), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p = r.peer("/websocket")
	got := p.ask(fmt.Sprintf(`{"connect":{"token":%q,"subs":{"chat:b":{"recover":true,"epoch":%q,"offset":1}}}}`, claims, sub.Epoch)).Connect.Subs["chat:b"]
	if !got.Recovered || len(got.Publications) != 2 || got.Publications[0].Offset != 2 {
		t.Fatalf("sub: %v", got)
	}
}

func TestPresence(t *testing.T) {
	r := newRig(t, nil, nil)
	a, b := r.peer("/websocket"), r.peer("/websocket")
	id := a.enter(token(t, map[string]any{"sub": "1"})).Client
	b.enter(token(t, map[string]any{"sub": "2", "info": map[string]any{"n": 2}}))
	a.ask(`{"subscribe":{"channel":"chat:p","join_leave":true}}`)
	if push := a.push(); push.Join == nil || push.Join.Info.Client != id {
		t.Fatalf("push: %v", push)
	}
	b.ask(`{"subscribe":{"channel":"chat:p"}}`)
	if push := a.push(); push.Join == nil || push.Join.Info.User != "2" || string(push.Join.Info.ConnInfo) != `{"n":2}` {
		t.Fatalf("push: %v", push)
	}
	got := b.ask(`{"presence":{"channel":"chat:p"}}`).Presence.Presence
	if len(got) != 2 || got[id].User != "1" {
		t.Fatalf("presence: %v", got)
	}
	if stats := b.ask(`{"presence_stats":{"channel":"chat:p"}}`).PresenceStats; stats.NumClients != 2 || stats.NumUsers != 2 {
		t.Fatalf("stats: %v", stats)
	}
	_ = b.conn.Close()
	if push := a.push(); push.Leave == nil || push.Leave.Info.User != "2" {
		t.Fatalf("push: %v", push)
	}
	clients, users, err := r.PresenceStats("chat:p")
	if clients != 1 || users != 1 || err != nil {
		t.Fatal(clients, users, err)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, func(c *config.Live) {
		c.MaxChannels = 10
		n := config.DefaultNamespace()
		n.Subscribe, n.SubscriptionToken = "true", true
		c.Namespaces["private"] = n
		rule := config.DefaultNamespace()
		rule.Subscribe, rule.Publish, rule.MaxPublication, rule.PublicationsPerSecond, rule.MaxSubscribers = `id == user || claims.role == "boss"`, `user != ""`, 10, 2, 1
		c.Namespaces["own"] = rule
	}, nil)
	p := r.peer("/websocket")
	p.enter(token(t, map[string]any{"sub": "42"}))
	boss := r.peer("/websocket")
	boss.enter(token(t, map[string]any{"sub": "1", "role": "boss"}))
	private := func(channel, user string, exp int64) string {
		return token(t, map[string]any{"sub": user, "channel": channel, "exp": exp})
	}
	later, past := time.Now().Unix()+100, time.Now().Unix()-100
	for _, c := range []struct {
		p       *peer
		command string
		want    int
	}{
		{p, `{"subscribe":{"channel":"unknown:a"}}`, 102},
		{p, `{"subscribe":{"channel":"chat:"}}`, 107},
		{p, `{"subscribe":{"channel":"a\u0001b"}}`, 107},
		{p, fmt.Sprintf(`{"subscribe":{"channel":%q}}`, strings.Repeat("a", 256)), 106},
		{p, `{"subscribe":{"channel":"shut:a"}}`, 103},
		{p, `{"publish":{"channel":"shut:a","data":1}}`, 103},
		{p, `{"history":{"channel":"shut:a"}}`, 103},
		{p, `{"presence":{"channel":"shut:a"}}`, 103},
		{p, `{"history":{"channel":"plain"}}`, 108},
		{p, `{"rpc":{"method":"none"}}`, 104},
		{p, `{"subscribe":{"channel":"private:a"}}`, 103},
		{p, fmt.Sprintf(`{"subscribe":{"channel":"private:a","token":%q}}`, private("private:b", "42", later)), 103},
		{p, fmt.Sprintf(`{"subscribe":{"channel":"private:a","token":%q}}`, private("private:a", "43", later)), 103},
		{p, fmt.Sprintf(`{"subscribe":{"channel":"private:a","token":%q}}`, private("private:a", "42", past)), 109},
		{p, fmt.Sprintf(`{"subscribe":{"channel":"private:a","token":%q}}`, private("private:a", "42", later)), 0},
		{p, `{"subscribe":{"channel":"private:a"}}`, 105},
		{p, fmt.Sprintf(`{"sub_refresh":{"channel":"private:a","token":%q}}`, private("private:a", "42", later+100)), 0},
		{p, `{"sub_refresh":{"channel":"private:x","token":"x"}}`, 103},
		{p, `{"subscribe":{"channel":"own:43"}}`, 103},
		{p, `{"subscribe":{"channel":"own:42"}}`, 0},
		{boss, `{"subscribe":{"channel":"own:42"}}`, 106},
		{boss, `{"subscribe":{"channel":"own:44"}}`, 0},
		{p, `{"publish":{"channel":"own:42","data":"0123456789"}}`, 106},
		{p, `{"publish":{"channel":"own:42","data":1}}`, 0},
		{p, `{"publish":{"channel":"own:42","data":2}}`, 0},
		{p, `{"publish":{"channel":"own:42","data":3}}`, 111},
		{p, `{"subscribe":{"channel":"dialog#42,43"}}`, 0},
		{p, `{"subscribe":{"channel":"dialog#1,43"}}`, 103},
		{p, `{"presence":{"channel":"dialog#1,43"}}`, 103},
	} {
		if got := code(c.p.ask(c.command)); got != c.want {
			t.Errorf("%s: %d instead of %d", c.command, got, c.want)
		}
	}
	// Many subscriptions in one frame: those that fit are made, the others are refused.
	var frame []string
	for i := range 1000 {
		frame = append(frame, fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"many%d"}}`, 1000+i, i))
	}
	p.send(strings.Join(frame, "\n"))
	made, refused := 0, 0
	for made+refused < 1000 {
		switch reply := p.must(); {
		case reply.Id >= 1000 && code(reply) == 106:
			refused++
		case reply.Id >= 1000 && code(reply) == 0:
			made++
		}
	}
	if made != 7 {
		t.Errorf("%d subscriptions were made", made)
	}
}

func TestBadFrames(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.MaxMessage = 1024; c.AuthTimeout = 300 * time.Millisecond }, nil)
	healthy := r.peer("/websocket")
	healthy.enter("")
	for name, c := range map[string]struct {
		frames []string
		want   int
	}{
		"no JSON":             {[]string{"nonsense"}, 3501},
		"before connect":      {[]string{`{"id":1,"subscribe":{"channel":"a"}}`}, 3501},
		"twice":               {[]string{`{"id":1,"connect":{}}`, `{"id":2,"connect":{}}`}, 3501},
		"no id":               {[]string{`{"id":1,"connect":{}}`, `{"subscribe":{"channel":"a"}}`}, 3501},
		"pong without ping":   {[]string{`{"id":1,"connect":{}}`, `{}`}, 3501},
		"nothing":             {[]string{`{"id":1,"connect":{}}`, `{"id":2}`}, 3501},
		"no channel":          {[]string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{}}`}, 3501},
		"message":             {[]string{`{"id":1,"connect":{}}`, `{"send":{"data":1}}`}, 3508},
		"too large":           {[]string{`{"id":1,"connect":{"name":"` + strings.Repeat("x", 1100) + `"}}`}, 1009},
		"silence":             {nil, 3502},
		"after a bad connect": {[]string{`{"id":1,"connect":{"token":"x"}}`}, 3500},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.peer("/websocket")
			p.TB = t
			for _, f := range c.frames {
				p.send(f)
			}
			if got := p.over(); got != c.want {
				t.Errorf("%d instead of %d", got, c.want)
			}
		})
	}
	if got := code(healthy.ask(`{"subscribe":{"channel":"a"}}`)); got != 0 {
		t.Errorf("another client was harmed: %d", got)
	}
}

func TestHandshakes(t *testing.T) {
	r := newRig(t, func(c *config.Live) {
		c.Origins = []string{"app.example.com", "*.example.org"}
		c.ConnectionsPerAddress = 5
	}, nil)
	for _, c := range []struct {
		origin string
		want   int
	}{
		{"", 101}, {"http://x", 101}, {"https://app.example.com", 101}, {"https://a.b.example.org:8443", 101},
		{"https://example.org", 403}, {"https://evil.com", 403}, {"https://notexample.org", 403}, {"null", 403},
		{"https://app.example.com", 101}, {"", 503},
	} {
		var headers []string
		if c.origin != "" {
			headers = []string{"Origin: " + c.origin}
		}
		if _, status := r.dial("/websocket", headers...); status != c.want {
			t.Errorf("origin %q: %d instead of %d", c.origin, status, c.want)
		}
	}
	if _, status := r.dial("/nothing"); status != http.StatusNotFound {
		t.Error(status)
	}
}

func TestHandshakesPerSecond(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.HandshakesPerSecond = 3 }, nil)
	refused := 0
	for range 10 {
		if _, status := r.dial("/websocket"); status == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused == 0 || refused > 7 {
		t.Errorf("%d of 10 were refused", refused)
	}
}

func TestCommandsPerSecond(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.CommandsPerSecond = 10 }, nil)
	p := r.peer("/websocket")
	p.enter("")
	refused := 0
	for range 30 {
		if code(p.ask(`{"rpc":{"method":"x"}}`)) == 111 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestPingAndPong(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Ping, c.Pong = time.Second, 900*time.Millisecond }, nil)
	quiet, lively := r.peer("/websocket"), r.peer("/websocket")
	quiet.enter("")
	lively.enter("")
	if text, err := lively.frame(); text != "{}" || err != nil {
		t.Fatal(text, err)
	}
	lively.send("{}")
	if text, err := lively.frame(); text != "{}" || err != nil {
		t.Fatal(text, err)
	}
	if c := quiet.over(); c != 3012 {
		t.Error(c)
	}
}

func TestExpiry(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Ping, c.Pong = time.Second, 300*time.Millisecond }, nil)
	soon := time.Now().Unix() + 2
	p, q := r.peer("/websocket"), r.peer("/websocket")
	if hello := p.enter(token(t, map[string]any{"sub": "1", "exp": soon})); !hello.Expires || hello.Ttl == 0 {
		t.Fatal(hello)
	}
	expired := make(chan error, 1)
	go func() {
		for {
			if _, err := p.next(); err != nil {
				expired <- err
				return
			}
		}
	}()
	q.enter(token(t, map[string]any{"sub": "1", "exp": soon}))
	if reply := q.ask(fmt.Sprintf(`{"refresh":{"token":%q}}`, token(t, map[string]any{"sub": "1", "exp": soon + 1000}))); reply.Refresh == nil || !reply.Refresh.Expires {
		t.Fatal(reply)
	}
	a := r.peer("/websocket")
	a.enter("")
	if reply := a.ask(fmt.Sprintf(`{"subscribe":{"channel":"plain","token":%q}}`, token(t, map[string]any{"channel": "plain", "exp": soon}))); reply.Subscribe == nil || !reply.Subscribe.Expires {
		t.Fatal(reply)
	}
	if push := a.push(); push.Unsubscribe == nil || push.Unsubscribe.Code != 2501 {
		t.Fatal(push)
	}
	var c *closed
	if err := recv(t, expired, "end of the connection"); !errors.As(err, &c) || c.code != 3005 {
		t.Fatal(err)
	}
}
