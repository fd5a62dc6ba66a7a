package openapi

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

const good = `{"customer":{"mail":"a@example.com"},"items":[{}],"total":12345678901234567890.5,"note":null}`

func TestRequests(t *testing.T) {
	var body string
	g := serve(t, nil, func(r *exchange.Request) error {
		b, err := r.Body(1 << 20)
		body = string(b)
		return err
	})
	const jsonType = "Content-Type: application/json"
	for _, c := range []struct {
		request, body string
		header        []string
		code, where   string
	}{
		{"GET /api/orders", "", nil, "", ""},
		{"HEAD /api/orders", "", nil, "", ""},
		{"GET /orders", "", nil, "HR4090", ""},
		{"GET /apis/orders", "", nil, "HR4090", ""},
		{"GET /api/none", "", nil, "HR4090", ""},
		{"PUT /api/orders", "", nil, "HR4096", ""},
		{"GET /api/orders?limit=5", "", nil, "", ""},
		{"GET /api/orders?limit=0", "", nil, "HR4091", "query.limit"},
		{"GET /api/orders?limit=x", "", nil, "HR4091", "query.limit"},
		{"GET /api/orders?limit=1e1", "", nil, "", ""},
		{"GET /api/orders?limit=1.5", "", nil, "HR4091", "query.limit"},
		{"GET /api/orders?state=open&state=paid", "", nil, "", ""},
		{"GET /api/orders?state=open&state=lost", "", nil, "HR4091", "query.state/1"},
		{"GET /api/orders?ids=1,2,3", "", nil, "", ""},
		{"GET /api/orders?ids=1,2,3,4", "", nil, "HR4091", "query.ids"},
		{"GET /api/orders?piped=1%7C2", "", nil, "", ""},
		{"GET /api/orders?piped=1%7Cx", "", nil, "HR4091", "query.piped/1"},
		{"GET /api/orders?filter%5Bmin%5D=1.5&filter[name]=7", "", nil, "", ""},
		{"GET /api/orders?filter[min]=x", "", nil, "HR4091", "query.filter/min"},
		{"GET /api/orders?filter[max]=1", "", nil, "HR4091", "query.filter"},
		{"GET /api/orders?offset=3&size=50", "", nil, "", ""},
		{"GET /api/orders?offset=3&size=51", "", nil, "HR4091", "query.page/size"},
		{"GET /api/orders?json=%7B%22a%22:1%7D", "", nil, "", ""},
		{"GET /api/orders?json=%7B%7D", "", nil, "HR4091", "query.json"},
		{"GET /api/orders?maybe=", "", nil, "", ""},
		{"GET /api/orders?maybe=null", "", nil, "", ""},
		{"GET /api/orders?maybe=x", "", nil, "HR4091", "query.maybe"},
		{"GET /api/orders?either=12x", "", nil, "", ""},
		{"GET /api/orders?either=12", "", nil, "", ""},
		{"GET /api/orders?either=x", "", nil, "HR4091", "query.either"},
		{"GET /api/orders", "", []string{"X-Version: 2"}, "", ""},
		{"GET /api/orders", "", []string{"X-Version: 3"}, "HR4091", "header.X-Version"},
		{"GET /api/orders", "", []string{"Cookie: session=ab"}, "HR4091", "cookie.session"},
		{"GET /api/orders/7", "", nil, "", ""},
		{"GET /api/orders/latest", "", nil, "", ""},
		{"GET /api/orders/oldest", "", nil, "HR4091", "path.id"},
		{"GET /api/orders/4294967296", "", nil, "HR4091", "path.id"},
		{"DELETE /api/orders/7", "", nil, "", ""},
		{"GET /api/files/a.b.pdf", "", nil, "", ""},
		{"GET /api/files/a.exe", "", nil, "HR4091", "path.type"},
		{"GET /api/files/a.pdf", "", nil, "", ""},
		{"GET /api/files/.pdf", "", nil, "HR4090", ""},
		{"GET /api/matrix/;list=1;list=2/.a,1", "", nil, "", ""},
		{"GET /api/matrix/;list=1;list=x/.a,1", "", nil, "HR4091", "path.list/1"},
		{"GET /api/matrix/;list=1/.a,x", "", nil, "HR4091", "path.label/a"},
		{"POST /api/orders", good, []string{jsonType}, "", ""},
		{"POST /api/orders", good, []string{"Content-Type: Application/JSON; charset=utf-8"}, "", ""},
		{"POST /api/orders", "", []string{jsonType}, "HR4092", "body"},
		{"POST /api/orders", good, []string{"Content-Type: text/plain"}, "HR4093", "header.Content-Type"},
		{"POST /api/orders", `{"customer":1`, []string{jsonType}, "HR4092", "body"},
		{"POST /api/orders", `[]`, []string{jsonType}, "HR4092", "body"},
		{"POST /api/orders", `{"customer":{"mail":"a"},"items":[{}]}`, []string{jsonType}, "HR4092", "/customer/mail"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c","kind":"firm"},"items":[{}]}`, []string{jsonType}, "HR4092", "/customer/kind"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{},{"sku":"x"}]}`, []string{jsonType}, "HR4092", "/items/1/sku"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{},{"sku":"XX","parent":{"sku":1}}]}`, []string{jsonType}, "HR4092", "/items/1/parent/sku"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{}],"total":0}`, []string{jsonType}, "HR4092", "/total"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{}],"total":1000}`, []string{jsonType}, "HR4092", "body"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{}],"total":1000,"note":null}`, []string{jsonType}, "", ""},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{}],"other":1}`, []string{jsonType}, "HR4092", "body"},
		{"POST /api/orders", `{"customer":{"mail":"a@b.c"},"items":[{}]}`, []string{"Content-Type: application/vnd.orders+json"}, "HR4092", "body"},
		{"POST /api/orders", good, []string{"Content-Type: application/vnd.orders+json"}, "", ""},
		{"POST /api/upload", "\x00\x01", []string{"Content-Type: application/octet-stream"}, "", ""},
		{"POST /api/upload", "n=5&tags=a&tags=b", []string{"Content-Type: application/x-www-form-urlencoded"}, "", ""},
		{"POST /api/upload", "n=x", []string{"Content-Type: application/x-www-form-urlencoded"}, "HR4092", "/n"},
	} {
		got, p, text := g.ask(t, c.request, c.body, c.header...)
		where := p.Where
		if c.code == "HR4092" && c.where == "body" && where != "body" && !strings.HasPrefix(where, "/other") {
			t.Errorf("%s %s: %s", c.request, c.body, text)
			continue
		}
		if c.where == "body" {
			where = "body"
		}
		if p.Code != c.code || where != c.where || (got.StatusCode == 200) != (c.code == "") {
			t.Errorf("%s %s: %d %s", c.request, c.body, got.StatusCode, text)
		}
		if c.code == "" && body != c.body {
			t.Errorf("%s: the handler reads %q", c.request, body)
		}
	}
	if got, p, _ := g.ask(t, "PUT /api/orders", ""); got.StatusCode != 405 || got.Header.Get("Allow") != "GET, POST" || p.Hint != "use GET, POST" {
		t.Error(got.Status, got.Header, p)
	}
}

func TestSizes(t *testing.T) {
	g := serve(t, func(c *config.OpenAPI) { c.MaxBody = config.Size(len(good)) }, func(r *exchange.Request) error {
		n, err := io.Copy(io.Discard, r.Stream(1<<30))
		if n > 100<<10 {
			r.Response.SetBodyString("large")
		}
		return err
	})
	if got, _, text := g.ask(t, "POST /api/orders", good, "Content-Type: application/json"); got.StatusCode != 200 {
		t.Error(text)
	}
	if _, p, _ := g.ask(t, "POST /api/orders", good+" ", "Content-Type: application/json"); p.Code != "HR1003" || !strings.Contains(p.Hint, "openapi.max_body") {
		t.Error(p)
	}
	if _, _, text := g.ask(t, "POST /api/upload", strings.Repeat("x", 1<<20), "Content-Type: application/octet-stream"); text != "large" { // streams through
		t.Error(text)
	}
}

func TestAnswers(t *testing.T) {
	answer := func(status int, total, media, body string) exchange.Handler {
		return func(r *exchange.Request) error {
			r.Response.SetStatusCode(status)
			if total != "" {
				r.Response.Header.Set("X-Total", total)
			}
			r.Response.Header.SetContentType(media)
			r.Response.Header.Set("ETag", `"1"`)
			r.Response.SetBodyString(body)
			return nil
		}
	}
	const media = "application/json; charset=utf-8"
	for name, c := range map[string]struct {
		handler exchange.Handler
		where   string
	}{
		"good":       {answer(200, "1", media, "["+good+"]"), ""},
		"unchanged":  {answer(304, "", media, ""), ""},
		"refused":    {answer(404, "", "application/problem+json", "{}"), ""},
		"failed":     {func(*exchange.Request) error { return problem.New("HR2003", "x") }, ""},
		"status":     {answer(201, "1", media, "[]"), "status"},
		"no header":  {answer(200, "", media, "[]"), "header.X-Total"},
		"bad header": {answer(200, "x", media, "[]"), "header.X-Total"},
		"media":      {answer(200, "1", "text/html", "[]"), "header.Content-Type"},
		"broken":     {answer(200, "1", media, "[secret"), "body"},
		"misfit":     {answer(200, "1", media, `[{"customer":{"mail":"secret"},"items":[{}]}]`), "/0/customer/mail"},
		"streams": {func(r *exchange.Request) error {
			r.Response.Header.Set("X-Total", "1")
			r.Response.Header.SetContentType(media)
			r.Answer(strings.NewReader("[x"), -1)
			return nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := serve(t, func(c *config.OpenAPI) { c.Responses = "enforce" }, c.handler)
			got, p, text := g.ask(t, "GET /api/orders", "")
			if (c.where != "") != (p.Code == "HR4094") || c.where != "" && (p.Where != c.where || got.StatusCode != 502 || got.Header.Get("ETag") != "") {
				t.Errorf("enforce: %d %s", got.StatusCode, text)
			}
			g = serve(t, func(c *config.OpenAPI) { c.Responses = "report" }, c.handler)
			_, p, _ = g.ask(t, "GET /api/orders", "")
			if line := g.log.String(); p.Code == "HR4094" || strings.Contains(line, c.where) != true || (line == "") != (c.where == "") || strings.Contains(line, "secret") {
				t.Errorf("report: %v %s", p, line)
			}
		})
	}
}

func TestReportOfRequests(t *testing.T) {
	g := serve(t, func(c *config.OpenAPI) { c.Requests = "report" }, func(r *exchange.Request) error {
		body, err := r.Body(1 << 20)
		r.Response.SetBody(body)
		return err
	})
	for _, request := range []string{"GET /api/orders?limit=secret", "GET /none", "PUT /api/orders", "POST /api/orders"} {
		body := ""
		if strings.HasPrefix(request, "POST") {
			body = `{"customer":"secret"}`
		}
		if got, _, text := g.ask(t, request, body, "Content-Type: application/json"); got.StatusCode != 200 || text != body || got.Header.Get("Allow") != "" {
			t.Error(request, got.Status, text)
		}
	}
	if lines := g.log.String(); strings.Count(lines, "\n") != 4 || strings.Contains(lines, "secret") || !strings.Contains(lines, "where=query.limit rule=type") {
		t.Error(lines)
	}
	registry := prometheus.NewRegistry()
	m := NewMetrics()
	m.of("x").answers.Inc()
	registry.MustRegister(m)
	must(t, observe.CheckNames(registry))
}

func TestDocumentsThatCannotBeUsed(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "..", "outside.yaml"), []byte("{}"), 0o600))
	for text, what := range map[string]string{
		"":                       "no object",
		"a: [":                   "",
		"openapi: 3.0.3":         "3.1 is needed",
		"swagger: '2.0'":         "no key openapi",
		"openapi: 3.1.0":         "no paths",
		"{\"openapi\":\"3.1.0\"": "",
		"openapi: 3.1.0\npaths: {/a: {get: {parameters: [{name: a, in: body}]}}}":                                                  `is in "body"`,
		"openapi: 3.1.0\npaths: {/a: {get: {parameters: [{name: a, in: path, schema: {}}]}}}":                                      "not in its path",
		"openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: '#/components/parameters/a'}]}}}":                                  "leads nowhere",
		"openapi: 3.1.0\npaths: {/a: {get: {requestBody: {content: {application/json: {schema: {type: strnig}}}}}}}":               "schema",
		"openapi: 3.1.0\npaths: {/a: {get: {requestBody: {content: {application/json: {schema: {$ref: 'http://127.0.0.1/x'}}}}}}}": "not a file",
		"openapi: 3.1.0\npaths: {/a: {get: {requestBody: {content: {application/json: {schema: {$ref: '../outside.yaml'}}}}}}}":    "outside.yaml",
		"openapi: 3.1.0\npaths: {/a: {$ref: 'file:///etc/passwd'}}":                                                                "passwd",
		"openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: '#/x'}]}}}\nx: {$ref: '#/y'}\ny: {$ref: '#/x'}":                    "circle",
		"openapi: 3.1.0\npaths: {'/{a}{b}': {get: {}}}":                                                                            "follow each other",
		"openapi: 3.1.0\npaths: {'/{a': {get: {}}}":                                                                                "brace",
	} {
		path := filepath.Join(folder, "api.yaml")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := New(&config.OpenAPI{Document: path}, "x", Deps{})
		if p := problem.From(err); err == nil || p.Code != "HR4095" || !strings.Contains(p.What, what) || !strings.HasPrefix(p.What, path) || p.Key != "openapi.document" {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := New(&config.OpenAPI{Document: filepath.Join(folder, "none.yaml")}, "x", Deps{}); err == nil || problem.From(err).Code != "HR4095" {
		t.Error(err)
	}
}
