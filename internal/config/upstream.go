package config

import "time"

// Upstream is a service behind headrace: addresses, or processes that headrace runs.
type Upstream struct {
	// Addresses of the service. A host name stands for all its addresses, asked for again every resolve, each with the weight of the target.
	Targets []Target `yaml:"targets"`
	// Command of a service that headrace runs instead of targets, as in uvicorn app:app --uds {socket}, or node server.js --port {port}; or
	// one that listens on the port of 127.0.0.1 in the variable PORT. It is split at blanks, with quotes as in a shell; nothing is expanded.
	Run string `yaml:"run"`
	// Processes of run.
	Replicas int `yaml:"replicas" min:"1" max:"256"`
	// Working folder of run; empty is that of the configuration file.
	Directory string `yaml:"directory" path:"true"`
	// Environment of run, beside that of headrace. {socket} and {port} may stand in its values as well.
	Env map[string]string `yaml:"env" secret:"true"`
	// Time a process of run has until it takes connections.
	StartTimeout time.Duration `yaml:"start_timeout" min:"100ms"`
	// Time a process of run that was ready may be unhealthy by health.path until it is ended and started again, as soon as no other one is being
	// replaced; looked at with each check. 0s never does that.
	RestartAfter time.Duration `yaml:"restart_after"`
	// Time a process of run that is replaced or ended has for its requests, and then once more to end after SIGTERM.
	Grace time.Duration `yaml:"grace"`

	// How a target is chosen: in turn, the one with the fewest requests, the better one of two at random, or by hash of hash_by.
	Balance string `yaml:"balance" enum:"round_robin,least_connections,random_two,hash"`
	// What balance hash looks at: address, header:NAME or cookie:NAME.
	HashBy string `yaml:"hash_by"`
	// Time between two looks at the addresses of a host name.
	Resolve time.Duration `yaml:"resolve" min:"100ms"`
	// What is spoken with the targets: http1, or h2, HTTP/2 with or without TLS, for gRPC.
	Protocol string `yaml:"protocol" enum:"http1,h2"`

	// How long to wait for a target.
	Timeout Timeout `yaml:"timeout"`
	// Connections that are kept open to each target.
	Connections Connections `yaml:"connections"`
	// Asking again after a failure.
	Retry Retry `yaml:"retry"`
	// Requests of headrace that find out whether a target is well; without path none are sent.
	Health HealthCheck `yaml:"health"`
	// Leaving out a target whose requests fail.
	Eject Eject `yaml:"eject"`
	// Giving up for a while on an upstream whose requests fail.
	Breaker Breaker `yaml:"breaker"`
	// TLS with targets whose address begins with https.
	TLS UpstreamTLS `yaml:"tls"`
	// Largest head of an answer.
	MaxHead Size `yaml:"max_head" min:"1KiB" max:"1MiB"`
}

// Target is an address of an upstream; written as a plain text it is url.
type Target struct {
	// Address as in http://10.0.0.1:9000, https://api.example.com or unix:/run/service.sock.
	URL string `yaml:"url" required:"true"`
	// Part of the requests, in relation to the sum of the weights; 0 takes none.
	Weight int `yaml:"weight" min:"0" max:"10000"`
}

// Timeout is how long an upstream may take.
type Timeout struct {
	// To connect, TLS included.
	Connect time.Duration `yaml:"connect" min:"1ms"`
	// From the end of the request to the head of the answer.
	Header time.Duration `yaml:"header" min:"1ms"`
	// Between two pieces of a body, either way. Connections that were upgraded, as WebSockets are, have none.
	Idle time.Duration `yaml:"idle" min:"1ms"`
	// For the whole, asking again included; 0s is no limit.
	Total time.Duration `yaml:"total"`
}

// Connections bounds the connections to one target.
type Connections struct {
	// At a time; a request that needs one more waits for timeout.connect and is then answered with 503. 0 is no limit.
	Max int `yaml:"max" min:"0"`
	// Kept open while idle.
	Idle int `yaml:"idle" min:"0"`
	// Time that an idle one is kept.
	KeepAlive time.Duration `yaml:"keep_alive" min:"1ms"`
}

// Retry says when a request is sent once more, to another target if there is one.
type Retry struct {
	// Times that a request is sent, the first included.
	Attempts int `yaml:"attempts" min:"1" max:"10"`
	// What it is sent again after: connect (nothing was sent), reset (the connection broke before an answer), timeout (no head in time), or a status such as 503.
	On []string `yaml:"on"`
	// Methods that may be sent twice. After connect every method is.
	Methods []string `yaml:"methods"`
	// Share of requests that may be repetitions, over the last 10 s; 10 repetitions are always allowed.
	Budget float64 `yaml:"budget" min:"0" max:"1"`
}

// HealthCheck finds out whether a target is well.
type HealthCheck struct {
	// Path of the request, as in /health; empty sends none.
	Path string `yaml:"path"`
	// Time between two requests.
	Interval time.Duration `yaml:"interval" min:"10ms"`
	// Time for the answer.
	Timeout time.Duration `yaml:"timeout" min:"1ms"`
	// Good answers in a row that bring a target back.
	Healthy int `yaml:"healthy" min:"1" max:"100"`
	// Bad answers in a row that take a target out.
	Unhealthy int `yaml:"unhealthy" min:"1" max:"100"`
	// Status of a good answer; 0 is any of 200 to 399.
	Status int `yaml:"status" min:"0" max:"599"`
}

// Eject leaves out a target after failures: no connection, no answer, or a status of 502, 503 or 504.
type Eject struct {
	// Failures in a row; 0 never leaves out.
	Failures int `yaml:"failures" min:"0"`
	// Time that it is left out; it grows with every time in a row, up to ten times as long.
	For time.Duration `yaml:"for" min:"1ms"`
	// Time over which a target that comes back gets its full share of the requests.
	SlowStart time.Duration `yaml:"slow_start"`
}

// Breaker gives up on an upstream for a while.
type Breaker struct {
	// Share of failures over the last 10 s that opens it; 0 never does.
	Ratio float64 `yaml:"ratio" min:"0" max:"1"`
	// Least requests in these 10 s.
	Requests int `yaml:"requests" min:"1"`
	// Time that requests are answered with 503 before one is tried.
	Open time.Duration `yaml:"open" min:"1ms"`
}

// UpstreamTLS is TLS with a target.
type UpstreamTLS struct {
	// PEM file of the authorities that may have signed the certificate; empty is those of the system.
	CA string `yaml:"ca" path:"true"`
	// PEM file of the certificate that headrace shows.
	Certificate string `yaml:"certificate" path:"true"`
	// PEM file of its key.
	Key string `yaml:"key" path:"true"`
	// Name in the certificate of the target; empty is the host of its address.
	ServerName string `yaml:"server_name"`
	// Take any certificate; for tests.
	Insecure bool `yaml:"insecure"`
}

func (t Target) scalar() string { return "url" }

func (t *Target) defaults() { *t = Target{Weight: 1} }

// DefaultUpstream is an upstream with the defaults of its keys and no targets.
func DefaultUpstream() *Upstream {
	u := &Upstream{}
	u.defaults()
	return u
}

func (u *Upstream) defaults() {
	*u = Upstream{
		Replicas: 1, StartTimeout: 30 * time.Second, RestartAfter: 30 * time.Second, Grace: 10 * time.Second,
		Balance: "round_robin", Resolve: 10 * time.Second, Protocol: "http1",
		Timeout:     Timeout{Connect: 2 * time.Second, Header: time.Minute, Idle: time.Minute},
		Connections: Connections{Idle: 512, KeepAlive: time.Minute},
		Retry:       Retry{Attempts: 2, On: []string{"connect", "reset"}, Methods: []string{"GET", "HEAD", "OPTIONS", "TRACE"}, Budget: 0.2},
		Health:      HealthCheck{Interval: 5 * time.Second, Timeout: 2 * time.Second, Healthy: 2, Unhealthy: 3},
		Eject:       Eject{Failures: 5, For: 10 * time.Second, SlowStart: 10 * time.Second},
		Breaker:     Breaker{Requests: 20, Open: 5 * time.Second},
		MaxHead:     64 * KiB,
	}
}
