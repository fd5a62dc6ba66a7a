package config

import "time"

// Auth is who may ask. The ways are asked in the order in which they stand here; the first that finds something to look at decides.
type Auth struct {
	// Let requests pass that show nothing; what is shown must still be right.
	Optional bool `yaml:"optional"`
	// Name that browsers show when they ask for a password, and that clients are told in WWW-Authenticate.
	Realm string `yaml:"realm"`
	// Headers that the upstream gets, and what they are made from: sub, scope, method, key or the name of a claim, dots for nested ones, as in
	// X-User: sub. What clients send under these names is removed, from anonymous requests as well.
	Headers map[string]string `yaml:"headers"`
	// JSON Web Tokens.
	JWT *JWT `yaml:"jwt"`
	// API keys, as headrace key create makes them.
	Key *KeyAuth `yaml:"key"`
	// User names and passwords.
	Basic *Basic `yaml:"basic"`
	// Login with an OpenID Connect provider, kept in a cookie.
	OIDC *OIDC `yaml:"oidc"`
	// Client certificates that the door has verified.
	MTLS *MTLS `yaml:"mtls"`
	// Another service decides. It is asked about every request that the ways above found nothing in.
	Forward *Forward `yaml:"forward"`
	// A function of a worker decides. It is asked about every request that the ways above found nothing in.
	Function *FunctionAuth `yaml:"function"`
}

// JWT takes JSON Web Tokens, from the first of the places below that has one.
type JWT struct {
	Token
	// Header that holds the token. Authorization has Bearer before it, other headers may.
	Header string `yaml:"header"`
	// Cookie that holds the token; empty is none.
	Cookie string `yaml:"cookie"`
	// Parameter of the query that holds the token; empty is none. Addresses are written to logs: use it where nothing else is possible.
	Query string `yaml:"query"`
	// Tolerance for the clock of the issuer.
	Leeway time.Duration `yaml:"leeway" max:"10m"`
	// Claims that the token must have, and the value that they must be or hold; * is any value. Dots name nested claims.
	Claims map[string]string `yaml:"claims"`
	// Scopes that the token must hold, in the claim scope or scp.
	Scopes []string `yaml:"scopes"`
}

// KeyAuth takes API keys.
type KeyAuth struct {
	// Header that holds the key. Authorization: Bearer is looked at, too.
	Header string `yaml:"header"`
	// Parameter of the query that holds the key; empty is none. Addresses are written to logs: use it where nothing else is possible.
	Query string `yaml:"query"`
	// Scopes that the key must have.
	Scopes []string `yaml:"scopes"`
}

// Basic takes user names and passwords (RFC 7617).
type Basic struct {
	// File with lines of a name, a colon and a bcrypt hash, as htpasswd -B writes them. It is read again on reload.
	File string `yaml:"file" path:"true" required:"true"`
	// Time for which a checked password need not be hashed again; 0s hashes with every request, which costs 50 ms or more.
	Cache time.Duration `yaml:"cache" max:"1h"`
}

// OIDC sends browsers to a login (authorization code with PKCE) and keeps who they are in an encrypted cookie. Requests that are not for a page
// get 401 instead.
type OIDC struct {
	// Address of the provider; below it is .well-known/openid-configuration.
	Issuer string `yaml:"issuer" required:"true"`
	// Id of the client that the provider knows.
	ClientID string `yaml:"client_id" required:"true"`
	// Its secret; empty for a public client.
	ClientSecret string `yaml:"client_secret" secret:"true"`
	// Scopes that are asked for; openid is always among them.
	Scopes []string `yaml:"scopes"`
	// Path that the provider sends browsers back to; the provider must know it. Each host of the route has its own.
	Callback string `yaml:"callback"`
	// Path that begins a login, with ?next=PATH to go to afterwards. Pages lead there by themselves unless auth.optional is set.
	Login string `yaml:"login"`
	// Path that ends the session, here and at the provider if it can.
	Logout string `yaml:"logout"`
	// Path, or address, that browsers are sent to after that.
	AfterLogout string `yaml:"after_logout"`
	// Address by which browsers reach this host, as in https://app.example.com; empty is that of the request.
	BaseURL string `yaml:"base_url"`
	// Name of the cookie.
	Cookie string `yaml:"cookie"`
	// Domain of the cookie, so that several hosts share the login; empty is the host alone.
	Domain string `yaml:"domain"`
	// Longest time without a new login.
	Session time.Duration `yaml:"session" min:"1m" max:"90d"`
	// 32 bytes that the cookie is encrypted with, in base64; empty is a key that the engine keeps for all nodes.
	Key string `yaml:"key" secret:"true"`
	// Claims that a user must have, and the value that they must be or hold; * is any value.
	Claims map[string]string `yaml:"claims"`
	// Claims of the ID token that the cookie keeps beside sub, and that headers can be made from.
	Keep []string `yaml:"keep"`
	// Longest wait for the provider.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"1m"`
}

// MTLS takes client certificates. The door asks for them and verifies them; here it is said which of them may pass.
type MTLS struct {
	// What the common name or an alternative name (host, mail address, URI) of the certificate must be, as in device-7 or *.devices.example.com; * stands
	// for anything. Empty is every certificate that the door takes.
	Names []string `yaml:"names"`
}

// Forward asks another service with GET. An answer of 2xx lets the request pass, any other is the answer.
type Forward struct {
	// Address to ask, as in http://127.0.0.1:9000/check, or the name of an upstream and a path, as in accounts/check, which is asked as the upstream says.
	To string `yaml:"to" required:"true"`
	// Headers of the request that it is sent. It gets X-Forwarded-Method, -Proto, -Host, -Uri, -For and X-Request-Id in any case.
	Send []string `yaml:"send"`
	// Headers of its answer that the upstream gets. What clients send under these names is removed.
	Copy []string `yaml:"copy"`
	// Header of its answer that names the user; empty names nobody.
	Subject string `yaml:"subject"`
	// Longest wait for its answer.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"1m"`
	// Connections to an address at a time; requests wait for one within the timeout. An upstream has connections.max of its own.
	MaxConnections int `yaml:"max_connections" min:"1" max:"10000"`
	// Largest body of its answer that is passed on.
	MaxBody Size `yaml:"max_body" max:"1MiB"`
}

// FunctionAuth asks a function. It gets one argument, request, an object with what is given, and returns an object with subject, scopes and
// claims, or nothing if it does not know who asks. It refuses by raising hr.Deny.
type FunctionAuth struct {
	// Function to call, one of @app.call.
	Name string `yaml:"name" required:"true"`
	// Headers of the request that it is given, in lower case.
	Headers []string `yaml:"headers"`
	// What it is given beside the headers, of method, host, path, query, address and route. The less that is, the better it is cached.
	Given []string `yaml:"given"`
	// Time for which its word holds for requests of which it would be given the same; 0s asks it every time.
	Cache time.Duration `yaml:"cache" max:"1h"`
	// Longest wait for it.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"1m"`
}

func (a *Auth) defaults() { *a = Auth{Realm: "headrace"} }

func (j *JWT) defaults() { *j = JWT{Header: "Authorization"} }

func (k *KeyAuth) defaults() { *k = KeyAuth{Header: "X-API-Key"} }

func (b *Basic) defaults() { *b = Basic{Cache: time.Minute} }

func (o *OIDC) defaults() {
	*o = OIDC{
		Scopes: []string{"openid", "profile", "email"}, Callback: "/oidc/callback", Login: "/oidc/login", Logout: "/oidc/logout", AfterLogout: "/",
		Cookie: "headrace_session", Session: 12 * time.Hour, Keep: []string{"name", "email"}, Timeout: 5 * time.Second,
	}
}

func (m *MTLS) defaults() { *m = MTLS{} }

func (f *Forward) defaults() {
	*f = Forward{
		Send:    []string{"Authorization", "Cookie", "X-API-Key", "Accept", "User-Agent", "Origin"},
		Timeout: 5 * time.Second, MaxConnections: 256, MaxBody: 64 * KiB,
	}
}

func (f *FunctionAuth) defaults() {
	*f = FunctionAuth{Headers: []string{"authorization"}, Given: []string{"method", "path"}, Timeout: 5 * time.Second}
}

// Paths are the paths that the login answers itself. A route table must lead them to the policy, whatever the match of the route is.
func (a *Auth) Paths() []string {
	if a == nil || a.OIDC == nil {
		return nil
	}
	return []string{a.OIDC.Callback, a.OIDC.Login, a.OIDC.Logout}
}
