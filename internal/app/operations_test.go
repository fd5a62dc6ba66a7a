package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/live"
)

// openLive opens the live plane on the rig and its door, and returns the address of the latter.
func (r *liveRig) openLive(sources ...live.Source) (address string) {
	r.t.Helper()
	c := config.DefaultLive()
	c.RPC = []string{"greet"}
	chat := config.DefaultNamespace()
	chat.History.Size, chat.History.Age = 100, time.Hour
	chat.Presence = true
	c.Namespaces = map[string]*config.Namespace{"chat": chat, "plain": config.DefaultNamespace()}
	log := slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	l, err := live.Open(r.ctx(), live.Deps{Config: c, Engine: r.authority.planes.Engine, Authority: r.authority, Sources: sources, Log: log})
	if err != nil {
		r.t.Fatal(err)
	}
	r.operations.live = l
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Minute, IdleTimeout: time.Minute, Log: log,
		Admit: func(*exchange.Request) error { return nil }, Serve: l.Serve})
	if err := door.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = l.Stop(ctx)
		_ = door.Stop(ctx)
	})
	return door.Addr().String()
}

// got takes a value that must come.
func got[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing ", what)
		panic("unreachable")
	}
}

// connect connects a published client; data is JSON for on_connect. The end of the connection comes on gone.
func connect(t *testing.T, address, data string) (c *centrifuge.Client, gone <-chan centrifuge.DisconnectedEvent) {
	t.Helper()
	return connectWith(t, address, centrifuge.Config{Data: []byte(data)})
}

func connectWith(t *testing.T, address string, config centrifuge.Config) (c *centrifuge.Client, gone <-chan centrifuge.DisconnectedEvent) {
	t.Helper()
	c = centrifuge.NewJsonClient("ws://"+address+"/live/websocket", config)
	t.Cleanup(c.Close)
	ended, connected := make(chan centrifuge.DisconnectedEvent, 10), make(chan struct{}, 10)
	c.OnConnected(func(centrifuge.ConnectedEvent) { connected <- struct{}{} })
	c.OnDisconnected(func(e centrifuge.DisconnectedEvent) { ended <- e })
	if err := c.Connect(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-connected:
	case e := <-ended:
		t.Logf("not connected: %+v", e)
		ended <- e
	case <-time.After(20 * time.Second):
		t.Fatal("neither connected nor refused")
	}
	return c, ended
}

// subscribe subscribes and returns what comes; the error is why the client was refused.
func subscribe(t *testing.T, c *centrifuge.Client, channel string, config centrifuge.SubscriptionConfig) (*centrifuge.Subscription, <-chan centrifuge.Publication, error) {
	t.Helper()
	sub, err := c.NewSubscription(channel, config)
	if err != nil {
		t.Fatal(err)
	}
	publications, done := make(chan centrifuge.Publication, 100), make(chan error, 10)
	sub.OnPublication(func(e centrifuge.PublicationEvent) { publications <- e.Publication })
	sub.OnSubscribed(func(centrifuge.SubscribedEvent) { done <- nil })
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { done <- fmt.Errorf("%d %s", e.Code, e.Reason) })
	if err := sub.Subscribe(); err != nil {
		t.Fatal(err)
	}
	return sub, publications, got(t, done, "came of the subscription to "+channel)
}

func (r *liveRig) call(function, args string) string {
	r.t.Helper()
	got, err := r.authority.Call(r.ctx(), function, []byte(args), identity.Caller{})
	if err != nil {
		return strings.SplitN(err.Error(), "\n", 2)[0]
	}
	return string(got)
}

// TestFunctionsAndClients: published clients, the live plane and functions of a real worker.
func TestFunctionsAndClients(t *testing.T) {
	r := newLiveRig(t, liveApp)
	if got := r.call("say", `{"channel":"chat:1"}`); !strings.Contains(got, "the live plane is off") {
		t.Errorf("the live plane is off: %s", got)
	}
	address := r.openLive()

	if _, gone := connect(t, address, `"bad"`); got(t, gone, "came of a refused connect").Code != 4500 {
		t.Error("on_connect refused with another code")
	}
	cookie, _ := connectWith(t, address, centrifuge.Config{Header: http.Header{"Cookie": {"session=good"}}})
	if cookie.State() != centrifuge.StateConnected {
		t.Error("on_connect did not see the cookie of the handshake")
	}
	client, gone := connect(t, address, `"good"`)
	if _, _, err := subscribe(t, client, "plain:1", centrifuge.SubscriptionConfig{}); err == nil || !strings.Contains(err.Error(), "103") {
		t.Errorf("a channel that nobody allows: %v", err)
	}
	_, publications, err := subscribe(t, client, "chat:1", centrifuge.SubscriptionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if result, err := client.RPC(r.ctx(), "greet", []byte(`{"name":"Ada"}`)); err != nil || string(result.Data) != `"7 says hello Ada"` {
		t.Errorf("RPC: %s, %v", result.Data, err)
	}

	// on_publish amends and denies.
	if _, err := client.Publish(r.ctx(), "chat:1", []byte(`"hi"`)); err != nil {
		t.Fatal(err)
	}
	if p := got(t, publications, "was published"); string(p.Data) != `"HI"` || p.Info == nil || p.Info.User != "7" || p.Offset != 1 {
		t.Errorf("amended publication: %+v", p)
	}
	var denied *centrifuge.Error
	if _, err := client.Publish(r.ctx(), "chat:1", []byte(`"rude"`)); !errors.As(err, &denied) || denied.Code != 103 || denied.Message != "be kind" {
		t.Errorf("denied publication: %v", err)
	}

	// Functions publish: calls, async calls, batches and jobs.
	if got := r.call("say", `{"channel":"chat:1"}`); !strings.HasPrefix(got, `[2,"`) {
		t.Errorf("publish: %s", got)
	}
	if p := got(t, publications, "was published by a call"); string(p.Data) != `{"n":1}` || p.Offset != 2 || p.Tags["a"] != "b" {
		t.Errorf("publication of a call: %+v", p)
	}
	if got := r.call("say", `{"channel":"chat:1"}`); !strings.HasPrefix(got, `[2,"`) {
		t.Errorf("the same idempotency key: %s", got)
	}
	if got := r.call("say_async", `{"channel":"chat:1"}`); !strings.HasPrefix(got, `[3,"`) {
		t.Errorf("publish of an async function: %s", got)
	}
	if got := r.call("say_async", `{"channel":"nowhere:1"}`); !strings.Contains(got, "HR3010") {
		t.Errorf("an unknown channel: %s", got)
	}
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			if got := r.call("say_all", fmt.Sprintf(`{"xs":%d}`, n)); got != `[0,""]` {
				t.Errorf("publish of a batch: %s", got)
			}
		})
	}
	group.Wait()
	receipts, err := r.jobs.Enqueue(r.ctx(), []jobs.Request{{Function: "say_later", Args: []byte(`{"channel":"chat:1"}`)}})
	if err != nil || receipts[0].Err != nil {
		t.Fatal(err, receipts)
	}
	if err := r.jobs.Watch(r.ctx(), receipts[0].ID, 0, func(jobs.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if result, err := r.jobs.Result(r.ctx(), receipts[0].ID); err != nil || !strings.HasPrefix(string(result), `[[4,"`) || !strings.HasSuffix(string(result), `,[0,""]]`) {
		t.Errorf("broadcast of a job: %s, %v", result, err)
	}
	for offset := uint64(3); offset <= 4; offset++ {
		if p := got(t, publications, "more was published"); p.Offset != offset {
			t.Errorf("publication %d came, want %d", p.Offset, offset)
		}
	}

	// What they ask.
	var there []struct{ User string }
	if err := json.Unmarshal([]byte(r.call("there", `{"channel":"chat:1"}`)), &there); err != nil || len(there) != 1 || there[0].User != "7" {
		t.Errorf("presence: %v, %v", there, err)
	}
	if got := r.call("past", `{"channel":"chat:1"}`); got != `[[[4,1,""],[3,1,""],[2,{"n":1},""]],[2,3],4]` {
		t.Errorf("history: %s", got)
	}
	if got := r.call("past", `{"channel":"plain:1"}`); !strings.Contains(got, "HR3015") {
		t.Errorf("history of a channel without one: %s", got)
	}

	// A thread that outlives its task is refused and does not wait forever.
	if got := r.call("outlive", ""); got != "null" {
		t.Fatal(got)
	}
	if got := r.call("what_became", ""); got != `"HR6011"` {
		t.Errorf("a thread that outlived its task: %s", got)
	}

	// Who must go.
	if got := r.call("out", `{"channel":"chat:1","user":"7"}`); got != "null" {
		t.Errorf("unsubscribe and disconnect: %s", got)
	}
	if e := got(t, gone, "ended the connection"); e.Code != 4501 || e.Reason != "bye" {
		t.Errorf("disconnected with %+v", e)
	}
}

// TestFollowingAJob: a published client follows a job by its channel, and after a lost connection gets the rest.
func TestFollowingAJob(t *testing.T) {
	r := newLiveRig(t, `
import asyncio, os
import headrace as hr
app = hr.App()

@app.on_connect
async def welcome(connect: hr.Connect) -> hr.Session | None:
    return hr.Session(user="7")

@app.job(route="POST /steps")
async def steps(job: hr.Job, go: str) -> None:
    for n in range(6):
        while not os.path.exists(f"{go}{n}"):
            await asyncio.sleep(0.005)
        job.log.info("step %s", n)
`)
	door := r.openEdge()
	address := r.openLive(&jobChannels{jobs: r.jobs, follows: door.Follows})
	path := filepath.Join(t.TempDir(), "step")
	step := func(n int) {
		if err := os.WriteFile(fmt.Sprint(path, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id, token := accepted(t, door.Addr().String(), "/steps", fmt.Sprintf(`{"go":%q}`, path))
	client, _ := connect(t, address, "null")
	if _, _, err := subscribe(t, client, "job:"+id, centrifuge.SubscriptionConfig{Token: "x" + token}); err == nil {
		t.Error("a wrong token opens the channel")
	}
	client, gone := connect(t, address, "null")
	_, publications, err := subscribe(t, client, "job:"+id, centrifuge.SubscriptionConfig{Token: token, Recoverable: true})
	if err != nil {
		t.Fatal(err)
	}
	step(0)
	last := got(t, publications, "of the job")
	for !strings.Contains(string(last.Data), "step 0") { // it may have begun after the subscription
		last = got(t, publications, "of the job")
	}
	if err := client.Disconnect(); err != nil {
		t.Fatal(err)
	}
	got(t, gone, "told that it is disconnected")
	for n := 1; n < 4; n++ {
		step(n)
	}
	if err := r.jobs.Watch(r.ctx(), parseID(t, id), uint32(last.Offset), func(e jobs.Event) error {
		if strings.Contains(string(e.Data), "step 3") {
			return context.Canceled
		}
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}
	step(4)
	step(5)
	for n := 1; n < 7; n++ {
		p, want := got(t, publications, "of the job"), fmt.Sprint("step ", n)
		if n == 6 {
			want = `"succeeded"`
		}
		if p.Offset != last.Offset+uint64(n) || !strings.Contains(string(p.Data), want) {
			t.Errorf("%d %s came, want %s", p.Offset, p.Data, want)
		}
	}
}

func parseID(t *testing.T, text string) jobs.ID {
	t.Helper()
	id, err := jobs.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
