package config

// Auth is who may ask. A request passes if one of the ways knows it, the first that finds something to look at decides.
type Auth struct {
	// Let requests pass that show nothing; what is shown must still be right.
	Optional bool `yaml:"optional"`
	// JSON Web Tokens.
	JWT *JWT `yaml:"jwt"`
	// API keys, as headrace key create makes them.
	Key *KeyAuth `yaml:"key"`
}

// JWT takes JSON Web Tokens.
type JWT struct {
	Token
	// Claims that the token must have, and their values; * is any value.
	Claims map[string]string `yaml:"claims"`
	// Scopes that the token must hold, in the claim scope or scp.
	Scopes []string `yaml:"scopes"`
	// Headers that the upstream gets, and the claims they are made from, as in X-User: sub.
	Headers map[string]string `yaml:"headers"`
}

// KeyAuth takes API keys.
type KeyAuth struct {
	// Header that holds the key. Authorization: Bearer is looked at, too.
	Header string `yaml:"header"`
}

func (a *Auth) defaults() { *a = Auth{} }

func (j *JWT) defaults() { *j = JWT{} }

func (k *KeyAuth) defaults() { *k = KeyAuth{Header: "X-API-Key"} }
