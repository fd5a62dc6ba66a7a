package config

import "time"

// Live is the plane of real-time connections. The plane is on where the section is there, even if it is empty.
type Live struct {
	// Path below which the doors are: PATH/websocket, PATH/sse, PATH/http_stream and the rest.
	Path string `yaml:"path"`
	// Let clients connect without a token.
	Anonymous bool `yaml:"anonymous"`
	// Hosts whose pages may connect, as in app.example.com, *.example.com or *; empty is the host of the request alone. A request without the header Origin passes.
	Origins []string `yaml:"origins"`
	// Entries of policies around the handshakes and requests of clients, the first one wins. Their auth is optional here: whom it knows is the
	// user of a connection that shows no token. Their openapi and cache are not looked at. Empty is the entry defaults without its auth.
	Policies []string `yaml:"policies"`
	// How the tokens of connections are verified; without keys no token is taken.
	Token Token `yaml:"token"`
	// How the tokens of subscriptions are verified; empty is as token.
	SubscriptionToken Token `yaml:"subscription_token"`
	// Time between pings to a client.
	Ping time.Duration `yaml:"ping" min:"1s"`
	// Time a client has to answer a ping before it is disconnected; shorter than ping.
	Pong time.Duration `yaml:"pong" min:"100ms"`
	// How often it is looked whether the clients of channels with history have all that is in it, so that what was missed is found even if nothing
	// follows; 0s is never, and a second is the shortest. With an external engine this also finds what other nodes published.
	PositionCheck time.Duration `yaml:"position_check" min:"0s" max:"1h"`
	// Time from the handshake to a connect command.
	AuthTimeout time.Duration `yaml:"auth_timeout" min:"100ms"`
	// Largest frame from a client.
	MaxMessage Size `yaml:"max_message" min:"1KiB" max:"64MiB"`
	// Channels that one connection may subscribe to.
	MaxChannels int `yaml:"max_channels" min:"1" max:"100000"`
	// Longest name of a channel, in bytes.
	MaxChannelLength int `yaml:"max_channel_length" min:"1" max:"1024"`
	// Bytes that may wait for one slow client.
	MaxQueue Size `yaml:"max_queue" min:"4KiB"`
	// Commands of one connection in a second, and the burst it may send at once; 0 is no limit.
	CommandsPerSecond int `yaml:"commands_per_second" min:"0"`
	// Commands of one connection that may wait for functions at a time: rpc, and what functions decide about.
	MaxCalls int `yaml:"max_calls" min:"1" max:"255"`
	// Publications in the answer to one history command; clients ask for more behind them.
	MaxHistory int `yaml:"max_history" min:"1" max:"1000000"`
	// Publications that a client which comes back can have missed; after more of them it is told that it did not recover.
	MaxRecovery int `yaml:"max_recovery" min:"1" max:"1000000"`
	// Rates of publish and rpc commands of all connections, by address, subject, key or all; they have no methods. One with the name of a limit of
	// routes counts together with it.
	Limits []Limit `yaml:"limits"`
	// Connections at a time; 0 is no limit but server.max_connections and that of the operating system.
	MaxConnections int `yaml:"max_connections" min:"0"`
	// Connections at a time of one user; 0 is no limit. Anonymous connections are not counted.
	ConnectionsPerUser int `yaml:"connections_per_user" min:"0"`
	// Connections at a time from one address; 0 is no limit.
	ConnectionsPerAddress int `yaml:"connections_per_address" min:"0"`
	// Handshakes in a second; more are answered with 503 and Retry-After. 0 is no limit.
	HandshakesPerSecond int `yaml:"handshakes_per_second" min:"0"`
	// Compress WebSocket messages (permessage-deflate) for clients that offer it.
	Compression bool `yaml:"compression"`
	// Time over which clients are told to reconnect when headrace stops.
	ShutdownWindow time.Duration `yaml:"shutdown_window" max:"10m"`
	// Functions that clients may call by RPC; the method is the name of the function. Empty is none.
	RPC []string `yaml:"rpc"`
	// Options of channels without a namespace; without this section such channels are unknown.
	Channels *Namespace `yaml:"channels"`
	// Options of channels by namespace, the part of the name before the colon.
	Namespaces map[string]*Namespace `yaml:"namespaces"`
}

// Token is how tokens (JWT) are verified.
type Token struct {
	// Key of HS256, HS384 and HS512; 32 bytes or more.
	Secret string `yaml:"secret" secret:"true"`
	// PEM files with public keys of RS, PS and ES tokens and of EdDSA.
	PublicKeyFiles []string `yaml:"public_key_files" path:"true"`
	// Address of a JSON Web Key Set, as in https://login.example.com/.well-known/jwks.json.
	JWKSURL string `yaml:"jwks_url" secret:"url"`
	// What the claim iss must be; empty asks for none.
	Issuer string `yaml:"issuer"`
	// What the claim aud must hold; empty asks for none.
	Audience string `yaml:"audience"`
}

// Namespace holds the options of a group of channels.
type Namespace struct {
	// Publications that are kept for clients that come back and for history; both keys above zero make the channels durable.
	History History `yaml:"history"`
	// What a client that comes back gets: all that it missed (stream), the latest publication (cache), or nothing. It works with history only.
	Recovery string `yaml:"recovery" enum:"stream,cache,none"`
	// Find and repair gaps while a client is connected. It works with history only.
	Positioned bool `yaml:"positioned"`
	// Keep who is in a channel.
	Presence bool `yaml:"presence"`
	// Tell subscribers who joins and leaves.
	JoinLeave bool `yaml:"join_leave"`
	// Send differences (fossil) to clients that ask for them; needs history.
	Delta bool `yaml:"delta"`
	// Who may subscribe: empty is nobody without a token, a function or the server; true is everybody; else a rule over user, client, channel, id, claims and users.
	Subscribe string `yaml:"subscribe"`
	// Who may publish, likewise.
	Publish string `yaml:"publish"`
	// Who may see presence, likewise.
	SeePresence string `yaml:"see_presence"`
	// Who may read history, likewise.
	SeeHistory string `yaml:"see_history"`
	// Ask for a token with every subscription.
	SubscriptionToken bool `yaml:"subscription_token"`
	// Largest data of a publication.
	MaxPublication Size `yaml:"max_publication" min:"1B" max:"4MiB"`
	// Publications of one connection in a second; 0 is no limit.
	PublicationsPerSecond int `yaml:"publications_per_second" min:"0"`
	// Subscribers of one channel on this node; 0 is no limit.
	MaxSubscribers int `yaml:"max_subscribers" min:"0"`
	// What is done for a client that is slower than its channels: disconnect it, drop the oldest publications, keep the latest of each key, or have it resync from history.
	Slow string `yaml:"slow" enum:"disconnect,drop_oldest,latest_per_key,resync"`
}

// History is how much of a channel is kept.
type History struct {
	// Publications kept of each channel; 0 is no history.
	Size int `yaml:"size" min:"0" max:"1000000"`
	// Oldest publication kept; 0s is no history.
	Age time.Duration `yaml:"age"`
}

// DefaultLive is the section with its defaults, as an empty `live:` gives. It has no channels: Channels is nil.
func DefaultLive() *Live {
	l := &Live{}
	l.defaults()
	return l
}

// DefaultNamespace is a namespace with its defaults: no history, no presence, and no client may do anything without a token.
func DefaultNamespace() *Namespace {
	n := &Namespace{}
	n.defaults()
	return n
}

func (l *Live) defaults() {
	*l = Live{
		Path: "/live", Ping: 25 * time.Second, Pong: 10 * time.Second, AuthTimeout: 5 * time.Second, MaxMessage: 64 * KiB,
		MaxChannels: 128, MaxChannelLength: 255, MaxQueue: MiB, CommandsPerSecond: 100, ShutdownWindow: 5 * time.Second,
		PositionCheck: 40 * time.Second, MaxCalls: 16, MaxHistory: 1000, MaxRecovery: 10_000,
		Namespaces: map[string]*Namespace{},
	}
}

func (n *Namespace) defaults() {
	*n = Namespace{Recovery: "stream", Positioned: true, MaxPublication: 64 * KiB, Slow: "disconnect"}
}

// Namespace is the options of the channels of a namespace, "" being those without one; nil if there are no such channels.
func (l *Live) Namespace(name string) *Namespace {
	if name == "" {
		return l.Channels
	}
	return l.Namespaces[name]
}

// SubscriptionTokens is SubscriptionToken, or Token where that is empty.
func (l *Live) SubscriptionTokens() *Token {
	if l.SubscriptionToken.Keys() {
		return &l.SubscriptionToken
	}
	return &l.Token
}

// Keys tells whether there is anything to verify a token with.
func (t *Token) Keys() bool { return t.Secret != "" || len(t.PublicKeyFiles) > 0 || t.JWKSURL != "" }

// Durable tells whether publications are kept in a history.
func (n *Namespace) Durable() bool { return n.History.Size > 0 && n.History.Age > 0 }
