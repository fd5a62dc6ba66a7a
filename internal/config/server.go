package config

import "time"

// Server is the public door.
type Server struct {
	// Address to listen on; port 0 takes a free one.
	Listen string `yaml:"listen" pattern:"address"`
	// Largest request body; a larger one is answered with HR1003.
	MaxBody Size `yaml:"max_body" min:"1B"`
	// Largest JSON body, because JSON is checked in memory; files are sent as multipart fields and only bounded by max_body.
	MaxJSON Size `yaml:"max_json" min:"1B"`
	// Deepest nesting of JSON.
	JSONDepth int `yaml:"json_depth" min:"1" max:"10000"`
	// Largest claims of who asks that functions are told, a JSON object; larger ones are left out. Jobs keep them.
	MaxClaims Size `yaml:"max_claims" max:"64KiB"`
	// Time a client has to send the head of a request.
	HeaderTimeout time.Duration `yaml:"header_timeout" min:"1ms"`
	// Time after which an idle keep-alive connection is closed.
	IdleTimeout time.Duration `yaml:"idle_timeout" min:"1ms"`
	// Connections at a time; 0 is no limit but that of the operating system.
	MaxConnections int `yaml:"max_connections" min:"0"`
	// How long the follow link of a 202 answer is valid.
	FollowTTL time.Duration `yaml:"follow_ttl" min:"1s"`
	// Time that requests and WebSockets of upstreams have to finish in the old process after SIGUSR2 has replaced it.
	HandoverTimeout time.Duration `yaml:"handover_timeout" min:"1s"`
	// Path at which one OpenAPI document of all routes is served, as in /openapi.json, and beside it a page that shows it; empty is none.
	OpenAPI string `yaml:"openapi"`
	// Addresses of proxies before headrace whose X-Forwarded-For and X-Forwarded-Proto are believed, as in 10.0.0.0/8.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Take HTTP/2 without TLS from clients that begin with it, as gRPC does.
	H2C bool `yaml:"h2c"`
	// Addresses of balancers that tell the address of the client with the PROXY protocol, version 1 or 2, as in 10.0.0.0/8. Those must send its
	// header, on the doors for TLS and plain; others must not. Empty takes it from nobody.
	ProxyProtocol []string `yaml:"proxy_protocol"`
	// Bounds of a connection with HTTP/2; those of streams and headers hold for HTTP/3, too.
	HTTP2 HTTP2 `yaml:"http2"`
	// The door with TLS; absent is none.
	TLS *TLS `yaml:"tls"`
}

// HTTP2 bounds what one connection may ask for.
type HTTP2 struct {
	// Requests under way at a time.
	MaxStreams int `yaml:"max_streams" min:"1" max:"100000"`
	// Largest frame that is taken.
	MaxFrame Size `yaml:"max_frame" min:"16KiB" max:"16777215B"`
	// Largest head of a request, unpacked; a larger one is answered with 431.
	MaxHeader Size `yaml:"max_header" min:"1KiB" max:"1MiB"`
	// Requests that a client may give up within a second. More end the connection with ENHANCE_YOUR_CALM.
	MaxResets int `yaml:"max_resets" min:"1" max:"1000000"`
	// Frames without use, which are pings, settings, priorities and empty data, that a client may send within a second. More end the
	// connection with ENHANCE_YOUR_CALM.
	MaxControl int `yaml:"max_control" min:"1" max:"1000000"`
}

// Admin is the door for operators.
type Admin struct {
	// Address to listen on. Anything but a loopback address requires token_file.
	Listen string `yaml:"listen" pattern:"address"`
	// File that holds the bearer token; empty asks for none.
	TokenFile string `yaml:"token_file" path:"true"`
	// Largest request body, blobs included.
	MaxBody Size `yaml:"max_body" min:"1B"`
}

// Workers is the door for workers on other machines.
type Workers struct {
	// Address to listen on with TLS; empty takes local workers only. The certificate and the file worker.token, which workers need to
	// join, are made in the folder workers of engine.data.
	Listen string `yaml:"listen" pattern:"optional-address"`
}
