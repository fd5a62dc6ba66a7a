// Package config reads headrace.yaml. Values come in four layers, the later wins: defaults, file, environment
// (HEADRACE_SECTION_KEY), flags; Origin tells which layer a value came from. The structs of this package are the only
// declaration: parsing, the names of environment variables, the JSON Schema and the reference page are derived from their
// tags and comments. Unknown keys are refused, durations and sizes need a unit.
package config

import (
	"runtime"
	"strings"
	"time"
)

// Config is the whole configuration. Load makes one that is valid; it is not changed afterwards.
//
// Tags: yaml is the key, enum the allowed values, min and max the bounds (inclusive), path marks a file or folder that is
// taken relative to the configuration file, secret a value that may be given as file:NAME and is never shown.
type Config struct {
	// Name of this node; unique in a cluster, and the prefix of its durable state.
	Node string `yaml:"node" pattern:"node"`
	// Python file of the default pool; shorthand for pools.default.app.
	App string `yaml:"app" path:"true"`
	// Storage of everything durable. A plain address, as in `engine: nats://host:4222`, is shorthand for engine.url.
	Engine Engine `yaml:"engine"`
	// The public door.
	Server Server `yaml:"server"`
	// The door for operators: job control, metrics, health.
	Admin Admin `yaml:"admin"`
	// The door for workers on other machines.
	Workers Workers `yaml:"workers"`
	// Pools of worker processes, by name.
	Pools map[string]*Pool `yaml:"pools"`
	// Queues by name. The entry `defaults` holds for queues that are not named, and for the keys a named queue leaves out.
	Queues map[string]*Queue `yaml:"queues"`
	// Limits of jobs in general.
	Jobs Jobs `yaml:"jobs"`
	// Real-time connections; the plane is off where the section is absent.
	Live *Live `yaml:"live"`
	// What the public door does with a request, beside the routes that functions declare; the most specific match wins.
	Routes []Route `yaml:"routes"`
	// Services that routes pass requests to, by name.
	Upstreams map[string]*Upstream `yaml:"upstreams"`
	// Policies of routes, by name. The entry defaults holds for every route, for what neither it nor an entry that it names has.
	Policies map[string]*Policy `yaml:"policies"`
	// Bounds of what policies hold in memory.
	Gateway Gateway `yaml:"gateway"`
	// Logs of headrace itself.
	Log Log `yaml:"log"`
	// Export of traces.
	Trace Trace `yaml:"trace"`

	places map[string]place // by the path of the key; absent for a default
	texts  []Text
}

// DefaultPool is the name of the pool that the key app configures.
const DefaultPool = "default"

// DefaultQueue is the name of the entry of Queues that holds for every queue without an entry of its own.
const DefaultQueue = "defaults"

// Default is the configuration without file, environment and flags. It is valid and has no pools.
func Default() *Config {
	queue := &Queue{}
	queue.defaults()
	return &Config{
		Node: "main",
		Engine: Engine{
			Data: "headrace-data", Durability: "fsync", MinFree: 256 * MiB, KeepBlobs: 24 * time.Hour, Replicas: 1,
		},
		Server: Server{
			Listen: ":8080", MaxBody: GiB, MaxJSON: 8 * MiB, JSONDepth: 64, MaxClaims: 8 * KiB, HeaderTimeout: 10 * time.Second,
			IdleTimeout: 2 * time.Minute, FollowTTL: time.Hour, HandoverTimeout: time.Hour,
			HTTP2: HTTP2{MaxStreams: 250, MaxFrame: 16 * KiB, MaxHeader: 64 * KiB, MaxResets: 200, MaxControl: 10_000},
		},
		Admin:     Admin{Listen: "127.0.0.1:8081", MaxBody: GiB},
		Pools:     map[string]*Pool{},
		Queues:    map[string]*Queue{DefaultQueue: queue},
		Upstreams: map[string]*Upstream{}, Policies: map[string]*Policy{},
		Jobs: Jobs{
			Memory: 256 * MiB, MaxJobsPerRequest: 10_000, Inline: 64 * KiB, Idempotency: 24 * time.Hour, CrashLimit: 3,
			LogLines: 1000, LogBytes: 256 * KiB,
		},
		Gateway: Gateway{LimitKeys: 1_000_000, CacheMemory: 128 * MiB},
		Log:     Log{Level: "info", Format: "auto"},
		Trace:   Trace{Sample: 1},
		places:  map[string]place{},
	}
}

// Queue is the configuration of the queue of that name.
func (c *Config) Queue(name string) *Queue {
	if q, ok := c.Queues[name]; ok {
		return q
	}
	return c.Queues[DefaultQueue]
}

// Origin tells where the value of a key such as "server.listen" came from: `default`, `headrace.yaml:3:11`,
// `environment HEADRACE_SERVER_LISTEN` or `flag`.
func (c *Config) Origin(path string) string {
	if at, ok := c.places[path]; ok {
		return at.String()
	}
	return "default"
}

// Where is the place of a key as errors show it: file, line and column, and below them the line with a mark; the path where no layer set it.
// The line may hold a secret.
func (c *Config) Where(path string) string {
	for at := path; at != ""; at = at[:max(strings.LastIndexByte(at, '.'), 0)] { // that of the mapping, where the key itself has none
		if p, ok := c.places[at]; ok {
			return p.caret()
		}
	}
	return path
}

// CPUs is what a count of 0 stands for where 0 is documented as the number of CPUs. It honours a container's CPU limit.
func CPUs() int { return runtime.GOMAXPROCS(0) }
