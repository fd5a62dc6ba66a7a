package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/headrace/headrace/bench/live/swarm"
	"github.com/headrace/headrace/bench/rig"
)

const (
	secret = "a secret of thirty-two characters" // of tokens
	apiKey = "bench"

	usual   = "bench:fleet"   // a channel without history
	durable = "durable:fleet" // a channel with history
)

// contender is a server under test.
type contender struct {
	title   string
	about   string
	path    string // of the WebSocket
	dialect string
	inQuery bool                                                // tokens are in the address
	recover bool                                                // clients can get what they missed
	argv    func(dir, addr, door string) ([]string, error)      // the command, told where clients connect and where publications are posted
	publish func(into []byte, channel, key, data string) []byte // appends the request that publishes; key makes it idempotent where that is known
	twoFold bool                                                // publications are posted to a listener of their own
	only    string                                              // the one scenario that it takes part in; empty is all
}

const (
	own  = "headrace"
	bare = "bare sends" // no rival: what deliveries cost the kernel
)

func contenders() []*contender {
	rival := func(argv ...string) func(string, string, string) ([]string, error) {
		return func(string, string, string) ([]string, error) { return argv, nil }
	}
	named := func(into []byte, channel, _, data string) []byte {
		return post(into, "/publish", fmt.Sprintf(`{"channel":%q,"data":%s}`, channel, data))
	}
	all := func(into []byte, _, _, data string) []byte { return post(into, "/publish", data) }
	return []*contender{
		{
			title: own, path: "/live/websocket", dialect: swarm.Centrifuge, recover: true, twoFold: true,
			about: "JSON; publications by POST /api/publish; history on disk after fdatasync (engine.durability: fsync)",
			argv:  headrace,
			publish: func(into []byte, channel, key, data string) []byte {
				if key != "" {
					key = fmt.Sprintf(`"idempotency_key":%q,`, key)
				}
				return post(into, "/api/publish", fmt.Sprintf(`{"channel":%q,%s"data":%s}`, channel, key, data))
			},
		},
		{
			title: "centrifuge", path: "/connection/websocket", dialect: swarm.Centrifuge, recover: true, publish: named,
			about: "the Go library with its defaults, JSON; history in memory",
			argv:  rival(filepath.Join(buildDir, "centrifuge")),
		},
		{
			title: "ws", path: "/", dialect: swarm.Plain, inQuery: true,
			about:   "Node, no protocol and no channels: everybody gets everything",
			argv:    rival("node", filepath.Join(buildDir, "ws.mjs")),
			publish: all,
		},
		{
			title: bare, path: "/", dialect: swarm.Plain, inQuery: true, only: "delivery",
			about:   "no rival and no server: one thread that sends each publication to every socket (bench/live/bare), only in 2",
			argv:    rival(filepath.Join(buildDir, "bare")),
			publish: all,
		},
		{
			title: "Socket.IO", path: "/socket.io/?EIO=4&transport=websocket", dialect: swarm.SocketIO, recover: true, publish: named,
			about: "Node, its defaults; connection state recovery (memory) only where clients come back",
			argv:  rival("node", filepath.Join(buildDir, "socketio.mjs")),
		},
	}
}

// headrace writes the configuration of the product and is the command that runs it.
func headrace(dir, addr, door string) ([]string, error) {
	token, config := filepath.Join(dir, "token"), filepath.Join(dir, "headrace.yaml")
	if err := os.WriteFile(token, []byte(apiKey), 0o600); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`engine: {data: %s, durability: fsync}
server: {listen: %q}
admin: {listen: %q, token_file: %s}
live:
  anonymous: true
  token: {secret: %q}
  namespaces:
    bench: {subscribe: "true"}
    durable: {history: {size: 100000, age: 1h}, subscribe: "true", publish: "true"}
`, filepath.Join(dir, "data"), addr, door, token, secret)
	return []string{rig.Product(), "run", "--config", config}, os.WriteFile(config, []byte(text), 0o644)
}

func post(into []byte, path, body string) []byte {
	return fmt.Appendf(into, "POST %s HTTP/1.1\r\nHost: bench\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, apiKey, len(body), body)
}

// server is a contender that runs.
type server struct {
	*contender
	process    *process
	dir        string
	argv       []string
	env        []string
	addr, door string // where clients connect and where publications are posted
}

// start starts a contender with a folder of its own.
func start(ctx context.Context, c *contender, env ...string) (*server, error) {
	dir, err := os.MkdirTemp(filepath.Join(buildDir, "runs"), c.title+"-")
	if err != nil {
		return nil, err
	}
	s := &server{contender: c, dir: dir, addr: rig.FreeAddr()}
	if s.door = s.addr; c.twoFold {
		s.door = rig.FreeAddr()
	}
	if s.argv, err = c.argv(dir, s.addr, s.door); err != nil {
		return nil, err
	}
	s.env = append(env, "BENCH_PORT="+rig.Port(s.addr), "BENCH_SECRET="+secret, "NODE_ENV=production")
	return s, s.run(ctx)
}

// run starts the process, again if it was killed.
func (s *server) run(ctx context.Context) (err error) {
	if s.process, err = spawn(s.title, s.dir, s.env, s.argv...); err != nil {
		return err
	}
	for _, addr := range []string{s.addr, s.door} {
		if err = s.process.listening(ctx, addr); err != nil {
			s.process.stop()
			return err
		}
	}
	return nil
}

func (s *server) pid() int { return s.process.pid() }
func (s *server) stop()    { s.process.stop() }

// plan is how count clients of this server connect to a channel.
func (s *server) plan(channel string, count int) swarm.Plan {
	return swarm.Plan{Addr: s.addr, Path: s.path, Dialect: s.dialect, Channel: channel, Count: count, InQuery: s.inQuery}
}
