package live

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/limit"
	"github.com/headrace/headrace/internal/identity"
)

const red = `X-Claims: {"team":"red"}`

func teams(c *config.Live) {
	c.Anonymous = false
	n := config.DefaultNamespace()
	n.Subscribe = `claims.team == "red"`
	c.Namespaces["team"] = n
}

// get asks a door of streams and returns the status, and the first message of a stream.
func (r *rig) get(path string, headers ...string) (status int, first string) {
	r.Helper()
	c := r.raw()
	_, _ = fmt.Fprintf(c, "GET /live%s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(append(headers, ""), "\r\n"))
	in := bufio.NewReader(c)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return response.StatusCode, ""
	}
	body := bufio.NewReader(response.Body)
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			r.Fatal(err)
		}
		if line = strings.TrimPrefix(strings.TrimSpace(line), "data: "); line != "" && line != "{}" {
			return response.StatusCode, line
		}
	}
}

// Whom the policies know is the user, through every door, and what they know of him is there for rules.
func TestIdentityOfHandshake(t *testing.T) {
	for _, door := range []string{"/websocket", "/uni_websocket", "/sse", "/http_stream", "/uni_sse"} {
		t.Run(door, func(t *testing.T) {
			r := newRig(t, teams, nil)
			connect := url.QueryEscape(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"team:red"}}`)
			switch door {
			case "/websocket":
				p := r.peer(door, "X-User: ann", red)
				p.enter("")
				if reply := p.ask(`{"subscribe":{"channel":"team:red"}}`); reply.Subscribe == nil {
					t.Error(reply)
				}
				if all := r.Connections("ann", 2); len(all) != 1 {
					t.Error(all)
				}
				p.send(`{"id":9,"refresh":{"token":"x"}}`) // there is no token that could be renewed
				if c := p.over(); c != 3501 {
					t.Error(c)
				}
				return
			case "/uni_websocket":
				p := r.peer(door+"?channels=team:red", "X-User: ann", red)
				p.send(`{}`)
				if first, err := p.frame(); err != nil || !strings.Contains(first, `"connect"`) {
					t.Error(first, err)
				}
			case "/uni_sse":
				if status, first := r.get(door+"?channels=team:red", "X-User: ann", red); status != 200 || !strings.Contains(first, `"connect"`) {
					t.Error(status, first)
				}
			default:
				if status, first := r.get(door+"?cf_connect="+connect, "X-User: ann", red); status != 200 || !strings.Contains(first, `"connect"`) {
					t.Error(status, first)
				}
			}
			eventually(t, "subscription of ann", func() bool {
				all := r.Connections("ann", 2)
				return len(all) == 1 && len(all[0].Channels) == 1
			})
		})
	}
}

func TestIdentityAndTokens(t *testing.T) {
	r := newRig(t, teams, nil)
	p := r.peer("/websocket", "X-User: ann", red)
	p.enter(token(t, map[string]any{"sub": "bob"}))
	if len(r.Connections("bob", 1)) != 1 || len(r.Connections("ann", 1)) != 0 {
		t.Error("the token does not say who it is")
	}
	if c := code(p.ask(`{"subscribe":{"channel":"team:red"}}`)); c != 103 {
		t.Error("claims of the identity are mixed with those of the token", c)
	}
	p = r.peer("/websocket", "X-User: ann")
	p.send(`{"id":1,"connect":{"token":"wrong"}}`)
	if c := p.over(); c != 3500 {
		t.Error("a wrong token", c)
	}
	p = r.peer("/websocket", red)
	p.send(`{"id":1,"connect":{}}`)
	if c := p.over(); c != 3507 {
		t.Error("an identity without a subject", c)
	}
	p = r.peer("/websocket")
	p.send(`{"id":1,"connect":{}}`)
	if c := p.over(); c != 3507 {
		t.Error("nobody", c)
	}
}

func TestIdentityWithoutSubject(t *testing.T) {
	r := newRig(t, func(c *config.Live) { teams(c); c.Anonymous = true }, nil)
	p := r.peer("/websocket", red)
	p.enter("")
	if all := r.Connections("", 2); len(all) != 1 || all[0].User != "" {
		t.Error(all)
	}
	if reply := p.ask(`{"subscribe":{"channel":"team:red"}}`); reply.Subscribe == nil {
		t.Error(reply)
	}
}

// asked is an Authority that lets those in whom it is told of, and tells what it was told; without a channel it is not asked. It takes all calls.
type asked struct{ told chan connectRequest }

func (a *asked) Handles(event, _ string) bool { return event == "connect" && a.told != nil }

func (a *asked) Ask(_ context.Context, _ string, request any) ([]byte, error) {
	a.told <- *request.(*connectRequest)
	return []byte(`{}`), nil
}

func (a *asked) Call(context.Context, string, []byte, identity.Caller) ([]byte, error) {
	return []byte(`{}`), nil
}

// The function that decides about connections is told whom the policies know, and of the headers, whatever the transport.
func TestIdentityForFunction(t *testing.T) {
	a := &asked{told: make(chan connectRequest, 1)}
	r := newRig(t, teams, func(d *Deps) { d.Authority = a })
	r.peer("/websocket", "X-User: ann", red, "X-More: 1").send(`{"id":1,"connect":{}}`)
	if told := recv(t, a.told, "question"); told.User != "ann" || string(told.Claims) != `{"team":"red"}` || told.Headers["x-more"] != "1" {
		t.Errorf("%+v", told)
	}
	_, _ = fmt.Fprintf(r.raw(), "GET /live/sse?cf_connect=%s HTTP/1.1\r\nHost: x\r\nX-User: ann\r\n%s\r\nX-More: 1\r\n\r\n", url.QueryEscape(`{"id":1,"connect":{}}`), red)
	if told := recv(t, a.told, "question"); told.User != "ann" || told.Headers["x-more"] != "1" {
		t.Errorf("%+v", told)
	}
	eventually(t, "connections of ann", func() bool { return len(r.Connections("ann", 3)) == 2 })
}

// Pages of other hosts do not connect in the name of their visitor, by a WebSocket or by what needs no permission, such as a picture.
func TestIdentityAcrossSites(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Origins = []string{"app.example.com"} }, nil)
	for _, c := range []struct {
		headers []string
		want    bool
	}{
		{[]string{"Origin: https://evil.example"}, false},
		{[]string{"Origin: null"}, false},
		{[]string{"Origin: https://x"}, true},
		{[]string{"Origin: https://app.example.com"}, true},
		{[]string{"Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Sec-Fetch-Site: same-site"}, false},
		{[]string{"Sec-Fetch-Site: cross-site", "Referer: https://evil.example/x"}, false},
		{[]string{"Referer: https://evil.example/x"}, false},
		{[]string{"Sec-Fetch-Site: cross-site", "Referer: https://app.example.com/x"}, true},
		{[]string{"Referer: http://x/page"}, true},
		{[]string{"Sec-Fetch-Site: same-origin"}, true},
		{[]string{"Sec-Fetch-Site: none"}, true},
		{nil, true},
	} {
		name := strings.Join(c.headers, ", ")
		if _, status := r.dial("/websocket", append(c.headers, "X-User: ann")...); (status == 101) != c.want || !c.want && status != 403 {
			t.Errorf("WebSocket, %s: %d", name, status)
		}
		if status, _ := r.get("/uni_sse", append(c.headers, "X-User: ann")...); (status == 200) != c.want || !c.want && status != 403 {
			t.Errorf("SSE, %s: %d", name, status)
		}
	}
	if status, _ := r.get("/uni_sse", "Sec-Fetch-Site: cross-site"); status != 200 {
		t.Error("who is nobody is refused", status)
	}
}

// counting counts in a store of its own.
func counting(t *testing.T) func(*Deps) {
	s := limit.NewStore(limit.Deps{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	t.Cleanup(s.Close)
	return func(d *Deps) {
		d.Authority = &asked{}
		d.Limits = func(list []config.Limit) (Limiter, error) { return s.Commands(list) }
	}
}

func hourly(n int, by string) config.Limit {
	return config.Limit{Name: "calls", Rate: config.Rate{N: n, Per: time.Hour}, By: by, Algorithm: "token_bucket"}
}

// Publish and RPC take from the limits of all connections, other commands do not.
func TestLimits(t *testing.T) {
	r := newRig(t, func(c *config.Live) {
		c.Anonymous = true
		c.RPC = []string{"echo"}
		c.Limits = []config.Limit{hourly(4, "subject")}
	}, counting(t))
	join := func(user string) *peer {
		p := r.peer("/websocket")
		p.enter(token(t, map[string]any{"sub": user}))
		return p
	}
	const call, publish = `{"rpc":{"method":"echo","data":{}}}`, `{"publish":{"channel":"plain","data":1}}`
	one, two := join("ann"), join("ann")
	for i, command := range []string{call, publish, call, publish} {
		p := one
		if i%2 == 1 {
			p = two
		}
		if c := code(p.ask(command)); c != 0 {
			t.Errorf("%d: %d", i, c)
		}
	}
	for _, command := range []string{call, publish} {
		reply := one.ask(command)
		if code(reply) != 111 || !reply.Error.Temporary {
			t.Error(reply)
		}
	}
	if c := code(one.ask(`{"subscribe":{"channel":"other"}}`)); c != 0 {
		t.Error("a command that is not counted", c)
	}
	if c := code(join("bob").ask(call)); c != 0 {
		t.Error("another user", c)
	}
	// A change of the configuration holds for connections that are open, and forgets nothing.
	next := *r.config
	next.Limits = []config.Limit{hourly(4, "subject")}
	next.Limits[0].Burst = 5
	if err := r.Configure(&next); err != nil {
		t.Fatal(err)
	}
	if c, d := code(one.ask(call)), code(one.ask(call)); c != 0 || d != 111 {
		t.Error("a fifth command, and a sixth", c, d)
	}
	next.Limits = nil
	if err := r.Configure(&next); err != nil {
		t.Fatal(err)
	}
	if c := code(one.ask(call)); c != 0 {
		t.Error("without limits", c)
	}
}

// By address, it is that of the client, which a proxy tells.
func TestLimitsByAddress(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Limits = []config.Limit{hourly(1, "address")} }, counting(t))
	p := r.peer("/websocket", "X-User: ann")
	p.enter("")
	if c := code(p.ask(`{"publish":{"channel":"plain","data":1}}`)); c != 0 {
		t.Error(c)
	}
	for i, from := range []string{"10.1.1.1", "10.1.1.2", "10.1.1.1"} {
		// The first message of a stream has the reply to its connect command, the second that to its publication.
		commands := `{"id":1,"connect":{}}` + "\n" + `{"id":2,"publish":{"channel":"plain","data":1}}`
		st := r.stream("POST", "/http_stream", commands, "", "X-Forwarded-For", from)
		if hello := st.reply(); hello.Connect == nil {
			t.Fatal(hello)
		}
		text := st.line()
		var reply struct{ Error *struct{ Code int } }
		if err := json.Unmarshal([]byte(text), &reply); err != nil || (reply.Error != nil) != (i == 2) {
			t.Error(from, text)
		}
	}
}
