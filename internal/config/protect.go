package config

import "time"

// CORS lets pages of other hosts ask.
type CORS struct {
	// Origins, as in https://app.example.com, https://*.example.com or *.
	Origins []string `yaml:"origins" required:"true"`
	// Methods; empty is those of the route.
	Methods []string `yaml:"methods"`
	// Headers that a page may send; empty is those it asks for.
	Headers []string `yaml:"headers"`
	// Headers of the answer that a page may read.
	Expose []string `yaml:"expose"`
	// Let cookies and Authorization through; origins must not be * then.
	Credentials bool `yaml:"credentials"`
	// Time for which a browser need not ask again what a page may send; 0s lets the browser choose.
	MaxAge time.Duration `yaml:"max_age" max:"24h"`
}

// CSRF refuses POST, PUT, PATCH and DELETE with a cookie whose Origin, or Referer, is of another host. The section without keys turns it on.
type CSRF struct {
	// Further hosts whose pages may ask, as in app.example.com or *.example.com.
	Origins []string `yaml:"origins"`
}

// Secure adds headers to answers that do not have them. The section without keys turns it on.
type Secure struct {
	// Strict-Transport-Security, sent over TLS; empty sends none.
	HSTS string `yaml:"hsts"`
	// X-Frame-Options; empty sends none.
	Frame string `yaml:"frame"`
	// Referrer-Policy; empty sends none.
	Referrer string `yaml:"referrer"`
	// Content-Security-Policy; empty sends none.
	Content string `yaml:"content"`
}

// Edit changes headers and query. Values may hold {client_address}, {host}, {path}, {method}, {request_id}, {subject}, {claim.NAME} and
// parameters of the path. Headers that come out empty are removed. Headers of a connection, such as Content-Length, cannot be set.
type Edit struct {
	// Headers of the request that are set before the upstream sees it, Host among them; an empty value removes.
	Request map[string]string `yaml:"request"`
	// Headers of the answer that are set; an empty value removes.
	Response map[string]string `yaml:"response"`
	// Parameters of the query that are set; an empty value removes.
	Query map[string]string `yaml:"query"`
}

func (c *CORS) defaults() { *c = CORS{MaxAge: 10 * time.Minute} }

func (c *CSRF) defaults() { *c = CSRF{} }

func (e *Edit) defaults() { *e = Edit{} }

func (s *Secure) defaults() {
	*s = Secure{HSTS: "max-age=31536000; includeSubDomains", Frame: "DENY", Referrer: "strict-origin-when-cross-origin"}
}
