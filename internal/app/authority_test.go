package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

const liveApp = `
import asyncio, threading
import headrace as hr
app = hr.App()

@app.on_connect
def welcome(connect: hr.Connect) -> hr.Session | None:
    if connect.data != "good" and connect.headers.get("cookie") != "session=good":
        raise hr.Disconnect(4500, "go away")
    return hr.Session(user="7", channels=["plain:news"])

@app.on_subscribe("chat:*")
async def may_join(subscribe: hr.Subscribe) -> hr.Subscription | None:
    if subscribe.user == "eve":
        raise hr.Deny("not you")
    if subscribe.user == "odd":
        raise RuntimeError("broken")
    if subscribe.user == "slow":
        await asyncio.sleep(600)
    return None

@app.on_subscribe("chat:vip*")
def may_join_vip(subscribe: hr.Subscribe) -> hr.Subscription | None:
    return hr.Subscription(info="vip")

@app.on_subscribe("chat:vip")
def may_join_the_vip(subscribe: hr.Subscribe) -> hr.Subscription | None:
    return hr.Subscription(info="the vip")

@app.on_publish("chat:*", batch=8, wait="20ms")
def moderate(publications: list[hr.Publication]) -> list[hr.Publication | hr.Deny | None]:
    return [hr.Deny("be kind") if p.data == "rude" else p.amended(p.data.upper()) for p in publications]

@app.call()
def greet(job: hr.Job, name: str = "you") -> str:
    return f"{job.user} says hello {name}" if job.user else "hello " + name

@app.call()
def count(n: int):
    yield n

@app.call()
def say(channel: str) -> object:
    return hr.publish(channel, {"n": 1}, key="k", idempotency_key="i", tags={"a": "b"}, version=3, version_epoch="e")

@app.job()
def say_later(channel: str) -> object:
    return hr.broadcast([channel, "plain:b"], 1)

@app.call()
async def say_async(channel: str) -> object:
    return await asyncio.to_thread(hr.publish, channel, 1)

@app.batch(wait="50ms")
def say_all(xs: list[int]) -> list[object]:
    return [hr.publish("plain:x", x) for x in xs]

@app.call()
def there(channel: str) -> object:
    return hr.presence(channel)

@app.call()
def past(channel: str) -> object:
    newest = hr.history(channel, 3, reverse=True)
    after = hr.history(channel, 2, since=hr.Position(1, newest.position.epoch))
    return [[(p.offset, p.data, p.user) for p in newest.publications], [p.offset for p in after.publications], newest.position.offset]

@app.call()
def out(channel: str, user: str) -> None:
    hr.unsubscribe(channel, user=user)
    hr.disconnect(user=user, code=4501, reason="bye")

@app.call()
def outlive() -> None:
    threading.Thread(target=outlived).start()

code = ""
over = threading.Event()

def outlived() -> None:
    global code
    while not code:
        try:
            hr.publish("plain:late", 1)
        except hr.HeadraceError as error:
            code = error.code
    over.set()

@app.call()
async def what_became() -> str:
    await asyncio.to_thread(over.wait, 10)
    return code
`

// liveRig is engine, jobs and a real pool, and what app joins to them for the live plane.
type liveRig struct {
	t          *testing.T
	jobs       *jobs.Jobs
	functions  *functions.Registry
	authority  *authority
	operations operations
	pool       *workers.Pool
}

func newLiveRig(t *testing.T, app string) *liveRig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stop := func(f func(context.Context) error) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := f(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	dir := t.TempDir()
	c := config.Default()
	c.Engine.Data = filepath.Join(dir, "data")
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	r := &liveRig{t: t, functions: functions.NewRegistry()}
	eng, err := engine.Open(ctx, engine.Config{Data: c.Engine.Data, Durability: engine.Written, MinFree: -1}, log)
	must(err)
	stop(eng.Stop)
	r.jobs, err = jobs.Open(ctx, c, eng, r.functions, log)
	must(err)
	stop(r.jobs.Stop)
	r.jobs.SetOperations(&r.operations)
	r.authority = &authority{planes: &exchange.Planes{Jobs: r.jobs, Functions: r.functions, Engine: eng, Config: c}, log: log}
	must(os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o600))
	runtime, err := filepath.Abs("../../sdk/python/src")
	must(err)
	h := &host{pool: "default", log: log, health: observe.NewHealth(log), deaths: newDeaths()}
	r.pool, err = workers.Open(ctx, workers.Config{Name: "default", App: filepath.Join(dir, "app.py"), Min: 1, Max: 1, Runtime: runtime,
		CancelGrace: 400 * time.Millisecond, Spool: filepath.Join(dir, "data", "spool")}, h, log)
	must(err)
	stop(r.pool.Stop)
	must(r.functions.SetPool(r.pool))
	r.jobs.SetPool(r.pool)
	return r
}

func (r *liveRig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

func code(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

// asked is a request of section 11 with the members that the tests need.
type asked struct {
	Client  string `json:"client"`
	User    string `json:"user,omitempty"`
	Channel string `json:"channel,omitempty"`
	Data    any    `json:"data,omitempty"`
}

func TestAuthority(t *testing.T) {
	r := newLiveRig(t, liveApp)
	for _, c := range []struct {
		event, channel string
		want           bool
	}{
		{"connect", "", true}, {"subscribe", "chat:1", true}, {"subscribe", "chat:", true}, {"subscribe", "chat", false}, {"publish", "chat:1", true},
		{"publish", "news", false}, {"refresh", "", false},
	} {
		if got := r.authority.Handles(c.event, c.channel); got != c.want {
			t.Errorf("Handles(%q, %q) = %v", c.event, c.channel, got)
		}
	}
	for _, c := range []struct {
		event   string
		request asked
		want    string
	}{
		{"connect", asked{Client: "c"}, `{"disconnect":{"code":4500,"reason":"go away"}}`},
		{"connect", asked{Client: "c", Data: "good"}, `{"user":"7","channels":["plain:news"]}`},
		{"subscribe", asked{Client: "c", Channel: "chat:1"}, `{}`},
		{"subscribe", asked{Client: "c", Channel: "chat:1", User: "eve"}, `{"error":{"code":103,"message":"not you"}}`},
		{"subscribe", asked{Client: "c", Channel: "chat:vip-2"}, `{"info":"vip"}`},
		{"subscribe", asked{Client: "c", Channel: "chat:vip"}, `{"info":"the vip"}`},
		{"publish", asked{Client: "c", Channel: "chat:1", Data: "hi"}, `{"data":"HI"}`},
	} {
		if got, err := r.authority.Ask(r.ctx(), c.event, c.request); err != nil || string(got) != c.want {
			t.Errorf("%s %+v: %s, %v", c.event, c.request, got, err)
		}
	}
	if _, err := r.authority.Ask(r.ctx(), "subscribe", asked{Client: "c", Channel: "chat:1", User: "odd"}); code(err) != "HR2015" {
		t.Errorf("a function that raises: %v", err)
	}
	if _, err := r.authority.Ask(r.ctx(), "subscribe", asked{Channel: "news"}); code(err) != "HR2003" {
		t.Errorf("a channel that no function answers for: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.authority.Ask(ctx, "subscribe", asked{Client: "c", Channel: "chat:1", User: "slow"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a function that is too slow: %v", err)
	}
}

func TestAuthorityBatch(t *testing.T) {
	r := newLiveRig(t, liveApp)
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			data, want := fmt.Sprint("x", n), fmt.Sprintf(`{"data":"X%d"}`, n)
			if n%4 == 0 {
				data, want = "rude", `{"error":{"code":103,"message":"be kind"}}`
			}
			if got, err := r.authority.Ask(r.ctx(), "publish", asked{Client: "c", Channel: "chat:1", Data: data}); err != nil || string(got) != want {
				t.Errorf("%d: %s, %v", n, got, err)
			}
		})
	}
	group.Wait()
}

func TestAuthorityCall(t *testing.T) {
	r := newLiveRig(t, liveApp)
	for _, c := range []struct{ function, args, want, code string }{
		{"greet", ``, `"hello you"`, ""}, {"greet", `null`, `"hello you"`, ""}, {"greet", ` {"name":"Ada"} `, `"hello Ada"`, ""},
		{"greet", `{"name":1}`, ``, "HR2002"}, {"greet", `[1]`, ``, "HR2002"}, {"greet", `{"name":`, ``, "HR2001"}, {"nobody", `{}`, ``, "HR2003"},
		{"say_later", `{"channel":"a"}`, ``, "HR2011"}, {"count", `{"n":1}`, ``, "HR2011"},
	} {
		got, err := r.authority.Call(r.ctx(), c.function, []byte(c.args), identity.Caller{})
		if string(got) != c.want || c.code != "" && code(err) != c.code || c.code == "" && err != nil {
			t.Errorf("%s(%s): %s, %v", c.function, c.args, got, err)
		}
	}
}

func TestEventsAreUnique(t *testing.T) {
	r := newLiveRig(t, liveApp)
	dir := t.TempDir()
	app := "import headrace as hr\napp = hr.App()\n@app.on_subscribe('chat:*')\ndef another(s: hr.Subscribe) -> None: ...\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	runtime, _ := filepath.Abs("../../sdk/python/src")
	log := slog.New(slog.DiscardHandler)
	h := &host{pool: "other", log: log, health: observe.NewHealth(log), deaths: newDeaths()}
	pool, err := workers.Open(r.ctx(), workers.Config{Name: "other", App: filepath.Join(dir, "app.py"), Min: 1, Max: 1, Runtime: runtime}, h, log)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Stop(r.ctx()) //nolint:errcheck // the pool is idle
	if err := r.functions.SetPool(pool); code(err) != "HR9003" {
		t.Errorf("two functions answer for chat:*: %v", err)
	}
	if fn := r.functions.On("subscribe", "chat:1"); fn == nil || fn.Name != "may_join" {
		t.Errorf("the first pool lost its event: %v", fn)
	}
}
