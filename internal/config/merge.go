package config

import (
	"regexp"
	"time"
)

// Merge makes one JSON object of several parts, which are asked at once.
type Merge struct {
	// Time for the whole. Parts that did not answer by then have failed.
	Timeout time.Duration `yaml:"timeout" min:"1ms"`
	// Headers of the request that the upstreams get; empty is Authorization, Cookie and Accept-Language. What tells of the client and of the trace they get always.
	Headers []string `yaml:"headers"`
	// Parameters of the query that the upstreams get, added to path; * is all.
	Query []string `yaml:"query"`
	// Member of the answer that tells of parts that failed; empty leaves it out.
	Errors string `yaml:"errors"`
	// Largest answer of a part.
	MaxPart Size `yaml:"max_part" min:"1B"`
	// Parts of the answer. Of members with the same name that of the later part stays.
	Parts []Part `yaml:"parts"`
}

// Part is one part of a merged answer: the JSON that an upstream or a function gives.
type Part struct {
	// Name for other parts and in errors; empty is group, or else that of the function or the upstream.
	Name string `yaml:"name"`
	// A name of upstreams, or an address.
	Upstream string `yaml:"upstream"`
	// Function to call; used instead of upstream.
	Call string `yaml:"call"`
	// Path that is asked, with {parameter} of the path of the route and {part.member.member} of the answer of another part, which is waited for. Of a list a number is one element and * are all, joined by commas.
	Path string `yaml:"path"`
	// HTTP method; empty is GET, or POST with a body.
	Method string `yaml:"method"`
	// JSON to send, or the arguments of the function, with parameters as in path. Within quotes they are text, else JSON values.
	Body string `yaml:"body"`
	// Member of the answer that holds the part; empty puts the members of the part, which must be an object then, in the answer itself.
	Group string `yaml:"group"`
	// What is taken of the part, as in data.items; empty is the whole.
	Target string `yaml:"target"`
	// Members that are kept, as in id or customer.name; empty is all. Of a list it is those of each element.
	Pick []string `yaml:"pick"`
	// Members that are left out, likewise.
	Drop []string `yaml:"drop"`
	// New names of members, as in customer_name: name. A member that has the new name already is left out.
	Rename map[string]string `yaml:"rename"`
	// Answer without the part if it fails.
	Optional bool `yaml:"optional"`
	// Time for the part; 0s is that of the whole.
	Timeout time.Duration `yaml:"timeout"`
}

func (m *Merge) defaults() { *m = Merge{Timeout: 5 * time.Second, Errors: "errors", MaxPart: MiB} }

// Title is the name of the part for other parts and in errors.
func (p *Part) Title() string {
	for _, name := range []string{p.Name, p.Group, p.Call} {
		if name != "" {
			return name
		}
	}
	return p.Upstream
}

// Verb is the HTTP method of the part.
func (p *Part) Verb() string {
	switch {
	case p.Method != "":
		return p.Method
	case p.Body != "":
		return "POST"
	}
	return "GET"
}

// Placeholder is a value in the path or body of a part: the first group is the name of a parameter or of a part, the second, with a
// point before it, where in the answer of the part the value is.
var Placeholder = regexp.MustCompile(`\{(\*|[A-Za-z_][A-Za-z0-9_-]*)(\.[^{}"\s]+)?\}`)
