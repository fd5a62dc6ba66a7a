package match_test

import (
	"errors"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/edge/match"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

var any = []string{exchange.Any}

func request(method, host, address string, headers ...string) *fasthttp.Request {
	r := &fasthttp.Request{}
	r.Header.SetMethod(method)
	r.SetRequestURI(address)
	r.Header.SetHost(host)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func build(t testing.TB, rules map[string]match.Rule, order ...string) *match.Table[string] {
	t.Helper()
	table := &match.Table[string]{}
	for _, name := range order {
		if err := table.Add(rules[name], name); err != nil {
			t.Fatal(name, err)
		}
	}
	return table
}

var rules = map[string]match.Rule{
	"all":        {Methods: any, Path: "/*"},
	"orders":     {Methods: any, Path: "/orders/*"},
	"get order":  {Methods: []string{"GET"}, Path: "/orders/{id}"},
	"new":        {Methods: []string{"GET"}, Path: "/orders/new"},
	"v2":         {Methods: any, Path: "/orders/{id}", Header: map[string]string{"X-Version": "2"}},
	"v2 beta":    {Methods: any, Path: "/orders/{id}", Header: map[string]string{"X-Version": "2"}, Query: map[string]string{"beta": "*"}},
	"mobile":     {Methods: any, Path: "/orders/{id}", Header: map[string]string{"User-Agent": "~(?i)android|iphone"}},
	"api":        {Methods: any, Hosts: []string{"api.example.com"}, Path: "/*"},
	"api health": {Methods: []string{"GET"}, Hosts: []string{"api.example.com", "other.example.org"}, Path: "/health"},
	"wild":       {Methods: any, Hosts: []string{"*.example.com"}, Path: "/*"},
	"wild deep":  {Methods: []string{"GET"}, Hosts: []string{"*.eu.example.com"}, Path: "/*"},
	"post":       {Methods: []string{"POST"}, Path: "/only/post"},
	"put":        {Methods: []string{"PUT"}, Path: "/only/post", Hosts: []string{"api.example.org"}},
}

func TestFind(t *testing.T) {
	table := build(t, rules, "all", "orders", "get order", "new", "v2", "v2 beta", "mobile", "api", "api health", "wild", "wild deep")
	for name, c := range map[string]struct {
		request *fasthttp.Request
		want    string
		params  []string
	}{
		"any path":                      {request("GET", "localhost", "/x/y"), "all", []string{"x/y"}},
		"text before parameter":         {request("GET", "localhost", "/orders/new"), "new", nil},
		"HEAD is answered by GET":       {request("HEAD", "localhost", "/orders/new"), "new", nil},
		"parameter before below":        {request("GET", "localhost", "/orders/7"), "get order", []string{"7"}},
		"another method goes on":        {request("DELETE", "localhost", "/orders/7"), "orders", []string{"7"}},
		"below":                         {request("GET", "localhost", "/orders/7/items/3"), "orders", []string{"7/items/3"}},
		"a condition before the method": {request("GET", "localhost", "/orders/7", "X-Version", "2"), "v2", []string{"7"}},
		"condition":                     {request("PUT", "localhost", "/orders/7", "X-Version", "2"), "v2", []string{"7"}},
		"one value of several":          {request("PUT", "localhost", "/orders/7", "X-Version", "1", "X-Version", "2"), "v2", []string{"7"}},
		"more conditions":               {request("PUT", "localhost", "/orders/7?beta", "X-Version", "2"), "v2 beta", []string{"7"}},
		"another value":                 {request("PUT", "localhost", "/orders/7", "X-Version", "22"), "orders", []string{"7"}},
		"pattern":                       {request("PUT", "localhost", "/orders/7", "User-Agent", "my iPhone 3"), "mobile", []string{"7"}},
		"host":                          {request("GET", "api.example.com", "/orders/7"), "api", []string{"orders/7"}},
		"host in capitals with a port":  {request("GET", "API.Example.com:8080", "/health"), "api health", nil},
		"second host":                   {request("GET", "other.example.org", "/health"), "api health", nil},
		"host without such a path":      {request("GET", "other.example.org", "/orders/new"), "new", nil},
		"wildcard":                      {request("GET", "www.example.com", "/orders/7"), "wild", []string{"orders/7"}},
		"the longest wildcard":          {request("GET", "a.eu.example.com", "/orders/7"), "wild deep", []string{"orders/7"}},
		"a wildcard of another method":  {request("PUT", "a.eu.example.com", "/orders/7"), "wild", []string{"orders/7"}},
		"the suffix alone is no match":  {request("GET", "example.com", "/orders/7"), "get order", []string{"7"}},
		"normal form":                   {request("GET", "localhost", "/x/../orders//new"), "new", nil},
		"dots beyond the root":          {request("GET", "localhost", "/../../orders/new"), "new", nil},
		"escaped":                       {request("GET", "localhost", "/orders/a%20b"), "get order", []string{"a b"}},
		"an address of another form":    {request("GET", "[::1]:80", "/orders/new"), "new", nil},
	} {
		var params [8][]byte
		got, _, err := table.Find(c.request, c.request.Header.Method(), c.request.URI().Path(), &params)
		if err != nil || got != c.want {
			t.Errorf("%s: %q %v, want %q", name, got, err, c.want)
		}
		for i, want := range c.params {
			if string(params[i]) != want {
				t.Errorf("%s: parameter %d is %q, want %q", name, i, params[i], want)
			}
		}
	}
}

func TestNone(t *testing.T) {
	table := build(t, rules, "post", "put", "v2")
	for _, c := range []struct{ host, method, path, code, allow string }{
		{"localhost", "GET", "/only", "HR1001", ""},
		{"localhost", "GET", "/only/post", "HR1002", "POST"},
		{"api.example.org", "GET", "/only/post", "HR1002", "POST, PUT"},
		{"localhost", "GET", "/orders/7", "HR1001", ""}, // a condition is no method
	} {
		r := request(c.method, c.host, c.path)
		_, allow, err := table.Find(r, r.Header.Method(), r.URI().Path(), &[8][]byte{})
		if p := problem.From(err); err == nil || p.Code != c.code || allow != c.allow {
			t.Errorf("%+v: %v, allow %q", c, err, allow)
		}
	}
}

func TestTaken(t *testing.T) {
	table := build(t, rules, "v2", "get order", "api")
	for name, rule := range map[string]match.Rule{
		"the same":             {Methods: any, Path: "/orders/{number}", Header: map[string]string{"X-Version": "2"}},
		"one method of two":    {Methods: []string{"PUT", "GET"}, Path: "/orders/{number}"},
		"host of other letter": {Methods: any, Hosts: []string{"API.example.com"}, Path: "/*"},
	} {
		var taken *match.Taken[string]
		if err := table.Add(rule, name); !errors.As(err, &taken) || taken.Other == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := table.Add(match.Rule{Methods: any, Path: "/x", Header: map[string]string{"A": "~("}}, "bad"); err == nil {
		t.Error("a bad expression is taken")
	}
}

func TestExplain(t *testing.T) {
	table := build(t, rules, "all", "get order", "v2", "api", "wild")
	r := request("PUT", "localhost", "/orders/7", "X-Version", "3")
	want := map[string]string{"all": "", "get order": "method is PUT", "v2": "not so: header X-Version is 2", "api": "host is localhost", "wild": "host is localhost"}
	for _, c := range table.Explain(r, r.Header.Method(), r.URI().Path()) {
		if c.Why != want[c.Value] {
			t.Errorf("%s: %q, want %q", c.Value, c.Why, want[c.Value])
		}
	}
}

// FuzzFind holds the table against the routes alone: what it finds must fit by itself.
func FuzzFind(f *testing.F) {
	table := build(f, rules, "all", "orders", "get order", "new", "v2", "v2 beta", "mobile", "api", "api health", "wild", "wild deep")
	f.Add("GET", "api.example.com", "/orders/7?beta=1", "2")
	f.Add("PUT", "a.b.eu.example.com:1", "//..%2f/orders/%00", "")
	f.Fuzz(func(t *testing.T, method, host, address, version string) {
		r := request(method, host, address, "X-Version", version)
		path := r.URI().Path()
		var params [8][]byte
		got, _, err := table.Find(r, r.Header.Method(), path, &params)
		if err != nil {
			return
		}
		for _, c := range table.Explain(r, r.Header.Method(), path) {
			if c.Value == got && c.Why != "" {
				t.Fatalf("%s %s %s: %s does not fit: %s", method, host, address, got, c.Why)
			}
		}
	})
}

func BenchmarkFind(b *testing.B) {
	plain := build(b, rules, "all", "orders", "get order", "new")
	strict := build(b, rules, "all", "orders", "get order", "new", "v2", "v2 beta", "mobile", "api", "api health", "wild", "wild deep")
	r := request("GET", "localhost", "/orders/7")
	method, path := r.Header.Method(), r.URI().Path()
	for name, table := range map[string]*match.Table[string]{"path": plain, "conditions": strict} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var params [8][]byte
			for b.Loop() {
				if _, _, err := table.Find(r, method, path, &params); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
