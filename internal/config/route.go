package config

import "strings"

// Route is one rule of the public door: what it matches, one action, and its policies, which are the keys of an entry of policies and
// may be written here as well.
type Route struct {
	// Path: exact as in /reports, with parameters as in /reports/{id}, or with all that is below as in /files/*.
	Match string `yaml:"match" required:"true"`
	// HTTP methods; empty is POST for job and call, GET and HEAD for static, and any for the other actions.
	Methods []string `yaml:"methods"`
	// Hosts, as in api.example.com or *.example.com; empty is any.
	Hosts []string `yaml:"hosts"`
	// Headers that the request must have: a text that the value must be, * for any value, or ~ and a regular expression.
	Header map[string]string `yaml:"header"`
	// Parameters of the query that the request must have, likewise.
	Query map[string]string `yaml:"query"`
	// Name in metrics, logs and traces; empty is match.
	Name string `yaml:"name"`

	// Function to enqueue; the answer is 202 with links to follow the job.
	Job string `yaml:"job"`
	// Function to call; the answer is its result.
	Call string `yaml:"call"`
	// Folder of files to serve.
	Static string `yaml:"static" path:"true"`
	// File of the folder, as in index.html, that is the answer where static has no file for a path, with status 200; empty is 404.
	Fallback string `yaml:"fallback"`
	// Upstream to pass the request to: a name of upstreams, or an address such as http://127.0.0.1:9000 that needs no more than defaults.
	Proxy string `yaml:"proxy"`
	// Upstreams that share the requests of the route; used instead of proxy.
	Split []Share `yaml:"split"`
	// Parts of one answer, asked at once.
	Merge *Merge `yaml:"merge"`
	// Address to send the client to, after a status if it is not 302, as in 308 https://example.com/new/{id}. Parameters of the path may stand in
	// it, and {*} for what /* stands for; the query of the request follows unless the address has one. A host must end in a fixed text.
	Redirect string `yaml:"redirect"`
	// Answer that is given without asking anybody.
	Respond *Respond `yaml:"respond"`

	// Path that the upstream sees, with parameters as in redirect; empty is that of the request. The query of the request follows.
	Rewrite string `yaml:"rewrite"`
	// Upstream that gets a copy of the requests, whose answers nobody sees. Requests with a body over 64 KiB are not copied.
	Mirror string `yaml:"mirror"`
	// Entries of policies that hold for this route; what an earlier one has, a later one does not change, and keys of the route itself come first.
	Policies []string `yaml:"policies"`
	Policy
	// Requests and what is expected of them; headrace check tries those that no upstream is needed for.
	Tests []RouteTest `yaml:"tests"`
}

// Share is one of the upstreams among which the requests of a route are split.
type Share struct {
	// A name of upstreams, or an address.
	Upstream string `yaml:"upstream" required:"true"`
	// Part of the requests, in relation to the sum of the weights.
	Weight int `yaml:"weight" min:"0" max:"1000000"`
	// Take all requests that have this header, as in X-Canary: "1"; like the key header of a route.
	Header map[string]string `yaml:"header"`
	// Take all requests that have this cookie, likewise.
	Cookie map[string]string `yaml:"cookie"`
	// Keep a client with the upstream it came to first, by this cookie; empty keeps nobody, and so does a weight of 0.
	Sticky string `yaml:"sticky"`
}

// Respond is a fixed answer.
type Respond struct {
	// HTTP status.
	Status int `yaml:"status" min:"200" max:"599"`
	// Body.
	Body string `yaml:"body"`
	// Content-Type of the body.
	Type string `yaml:"type"`
	// Further headers.
	Headers map[string]string `yaml:"headers"`
}

// RouteTest is a request and what is expected of it.
type RouteTest struct {
	// Method and address, as in GET /orders/1?full=true or GET https://api.example.com/orders/1.
	Request string `yaml:"request" required:"true"`
	// Headers of the request.
	Headers map[string]string `yaml:"headers"`
	// Name, or match, of the route that must answer; empty is this one, none is no route.
	Route string `yaml:"route"`
	// Status that is expected of an answer that no upstream and no function gives; 0 expects none.
	Status int `yaml:"status" min:"0" max:"599"`
	// Headers that such an answer must have, with their values. The key upstream is no header: it names the upstream that the request must reach for
	// certain, if the policies of the route let it pass.
	Expect map[string]string `yaml:"expect"`
}

// ExpectedUpstream is the key of RouteTest.Expect that names an upstream.
const ExpectedUpstream = "upstream"

func (r *Respond) defaults() { *r = Respond{Status: 200, Type: "text/plain; charset=utf-8"} }

func (s *Share) defaults() { *s = Share{Weight: 1} }

// Title is the name of the route for people and metrics.
func (r *Route) Title() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Match
}

// Actions are the names of the actions that the route has; a valid one has one.
func (r *Route) Actions() []string {
	var list []string
	for _, a := range []struct {
		name string
		has  bool
	}{
		{"job", r.Job != ""}, {"call", r.Call != ""}, {"static", r.Static != ""}, {"proxy", r.Proxy != ""}, {"split", len(r.Split) > 0},
		{"merge", r.Merge != nil}, {"redirect", r.Redirect != ""}, {"respond", r.Respond != nil},
	} {
		if a.has {
			list = append(list, a.name)
		}
	}
	return list
}

// Any stands for all methods in the list of Verbs.
const Any = "*"

// Verbs are the HTTP methods that the route answers, or Any.
func (r *Route) Verbs() []string {
	switch {
	case len(r.Methods) > 0:
		return r.Methods
	case r.Static != "":
		return []string{"GET", "HEAD"}
	case r.Job != "", r.Call != "":
		return []string{"POST"}
	}
	return []string{Any}
}

// Params are the names of the parameters of a path, in the order in which a request has their values; that of /* is * and the last.
func Params(match string) (list []string) {
	for segment := range strings.SplitSeq(match, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			list = append(list, strings.TrimSuffix(name, "}"))
		}
	}
	if strings.HasSuffix(match, "/*") {
		list = append(list, "*")
	}
	return list
}

// Below tells whether the route takes all that is below its path.
func (r *Route) Below() bool { return strings.HasSuffix(r.Match, "/*") }
