package openapi

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/workers"
)

func function(t testing.TB, f workers.Function) *functions.Function {
	t.Helper()
	fn, err := functions.New(f, nil)
	must(t, err)
	return fn
}

// everything is a route of each kind.
func everything(t testing.TB) []exchange.Published {
	score := function(t, workers.Function{Name: "score", Kind: "call", Doc: "Score an order.\n\nBetter is more.",
		Args:   []byte(`{"type":"object","required":["id","limit"],"properties":{"id":{"type":"integer"},"limit":{"type":"integer","maximum":12345678901234567890},"tree":{"$ref":"#/$defs/Tree"}},"$defs":{"Tree":{"type":"object","properties":{"left":{"$ref":"#/$defs/Tree"}}}}}`),
		Result: []byte(`{"$ref":"#/$defs/Out","$defs":{"Out":{"type":["number","null"]}}}`)})
	import_ := function(t, workers.Function{Name: "import", Kind: "job", Blobs: []string{"file"}, Args: []byte(`{"type":"object","required":["file"],"properties":{"file":{"type":"object"},"self":{"$ref":"#"}}}`)})
	auth := &config.Policy{Auth: &config.Auth{JWT: &config.JWT{Scopes: []string{"read"}}, Key: &config.KeyAuth{Header: "X-API-Key"}, Basic: &config.Basic{}, OIDC: &config.OIDC{Issuer: "https://id.example.com"}, MTLS: &config.MTLS{}, Optional: true}}
	return []exchange.Published{
		{Route: &config.Route{Match: "/score/{id}", Methods: []string{"GET"}, Name: "scores"}, Function: score, Policy: auth},
		{Route: &config.Route{Match: "/score/{id}", Methods: []string{"POST"}}, Function: score},
		{Route: &config.Route{Match: "/import", Job: "import"}, Function: import_, Job: true},
		{Route: &config.Route{Match: "/files/{path}/*", Static: "."}},
		{Route: &config.Route{Match: "/hello", Respond: &config.Respond{Status: 200, Body: `{"a":1}`, Type: "application/json; charset=utf-8"}}},
		{Route: &config.Route{Match: "/text", Respond: &config.Respond{Status: 410, Body: `gone`, Type: "text/plain"}, Hosts: []string{"a.example.com"}}},
		{Route: &config.Route{Match: "/old", Redirect: "/new"}},
		{Route: &config.Route{Match: "/dash/{id}", Merge: &config.Merge{Errors: "errors", Parts: []config.Part{{Group: "user"}, {Group: "stock", Optional: true}}}}},
		{Route: &config.Route{Match: "/api/*", Proxy: "orders", Name: "Orders 1"}, Policy: &config.Policy{OpenAPI: &config.OpenAPI{Document: "testdata/orders.yaml"}}},
		{Route: &config.Route{Match: "/v2/orders/{number}", Proxy: "orders"}, Policy: &config.Policy{OpenAPI: &config.OpenAPI{Document: "testdata/orders.yaml", Base: "/v2"}, Auth: auth.Auth}},
		{Route: &config.Route{Match: "/raw/*", Proxy: "http://127.0.0.1:1"}},
		{Route: &config.Route{Match: "/raw/*", Proxy: "http://127.0.0.1:1", Hosts: []string{"*.example.com"}}},
	}
}

func TestDocument(t *testing.T) {
	text, err := Document(Info{Title: "Shop", Version: "2"}, everything(t))
	must(t, err)
	if again, _ := Document(Info{Title: "Shop", Version: "2"}, everything(t)); !bytes.Equal(again, text) {
		t.Error("the document is another one each time")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)

	// It is what OpenAPI 3.1 is, by its own schema, and every schema and reference in it leads somewhere.
	meta, err := os.ReadFile("testdata/oas-3.1.json")
	must(t, err)
	m, err := jsonschema.UnmarshalJSON(bytes.NewReader(meta))
	must(t, err)
	c := jsonschema.NewCompiler()
	must(t, c.AddResource("file:///oas.json", m))
	s, err := c.Compile("file:///oas.json")
	must(t, err)
	if err := s.Validate(v); err != nil {
		t.Errorf("%#v", err)
	}
	d := &document{}
	must(t, d.init(v, "x.json"))
	table, err := d.compile()
	must(t, err)
	for kind, list := range v.(map[string]any)["components"].(map[string]any) {
		for name := range list.(map[string]any) {
			if kind == "schemas" {
				if _, err := d.schema(node{v.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any), d.url + "#/components/schemas"}, name); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, want := range []string{"GET /score/7", "POST /score/7", "POST /import", "GET /jobs/1/events", "GET /files/a/b", "GET /hello", "GET /text", "GET /old", "GET /dash/1", "POST /api/orders", "GET /api/orders/7", "DELETE /v2/orders/7", "PATCH /raw/x"} {
		method, path, _ := strings.Cut(want, " ")
		if at, _ := table.find(path); at == nil || at.operations[method] == nil {
			t.Errorf("no %s", want)
		}
	}
	if at, _ := table.find("/v2/orders"); at != nil {
		t.Error("a path that the route does not lead to")
	}
	at, _ := table.find("/api/orders")
	if err := at.operations["POST"].body.find("application/json").check([]byte(`{"customer":{"mail":"a@b.c"},"items":[{},{"sku":1}]}`), "application/json"); err == nil {
		t.Error("the schemas of the given document are not those of its file")
	}
	if err := at.operations["POST"].body.find("application/vnd.orders+json").check([]byte(`{"customer":{"mail":"a@b.c"},"items":[{}]}`), "application/json"); err == nil {
		t.Error("nor is that of the file it refers to")
	}
	for _, want := range []string{`"maximum":12345678901234567890`, `"operationId":"score_2"`, `"jwt":["read"]`, `"#/components/schemas/Orders_1.order"`, `"contentMediaType":"application/octet-stream"`, `"url":"//a.example.com"`, `"example":{"a":1}`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s", want)
		}
	}
	if folder := os.Getenv("OPENAPI_OUT"); folder != "" { // for other tools and a browser to look at
		page, policy := render("/openapi.json")
		for name, text := range map[string][]byte{"openapi.json": text, "openapi.html": []byte(page), "policy": []byte(policy)} {
			must(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
		}
	}
}

func TestPublish(t *testing.T) {
	if PagePath("/openapi.json") != "/openapi" || PagePath("/spec") != "/spec.html" || PagePath("/a.b/spec") != "/a.b/spec.html" {
		t.Error(PagePath("/openapi.json"), PagePath("/spec"))
	}
	document, err := Document(Info{}, everything(t))
	must(t, err)
	asJSON, page := Publish(`/openapi</script>.json`, document)
	g := serve(t, func(c *config.OpenAPI) { c.Requests = "off" }, asJSON)
	got, _, text := g.ask(t, "GET /", "")
	if got.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(text)) {
		t.Error(got.Header)
	}
	if got, _, text := g.ask(t, "GET /", "", "If-None-Match: "+got.Header.Get("ETag")); got.StatusCode != 304 || text != "" {
		t.Error(got.Status)
	}
	g = serve(t, func(c *config.OpenAPI) { c.Requests = "off" }, page)
	got, _, text = g.ask(t, "GET /", "")
	policy := got.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'sha256-") || strings.Contains(text, "DOCUMENT") || strings.Count(text, "</script>") != 1 || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
		t.Error(policy)
	}
}
