package websocket

import (
	"net/http"
	"strings"
	"testing"
)

func valid() http.Header {
	return http.Header{"Connection": {"keep-alive", "Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
}

func joined(h http.Header) func(string) string {
	return func(name string) string { return strings.Join(h.Values(name), ", ") }
}

func TestAccept(t *testing.T) {
	h := valid()
	h.Set("Sec-WebSocket-Protocol", "mqtt, centrifuge-json")
	h.Add("Sec-WebSocket-Protocol", "centrifuge-protobuf")
	a, refusal := Accept("GET", joined(h), Offer{Protocols: []string{"centrifuge-protobuf", "centrifuge-json"}})
	if refusal != nil {
		t.Fatal(refusal)
	}
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: centrifuge-json\r\n\r\n"
	if got := string(a.AppendResponse(nil)); got != want {
		t.Errorf("%s", got)
	}
	if a, refusal := Accept("GET", joined(h), Offer{Protocols: []string{"other"}}); refusal != nil || a.Protocol != "" {
		t.Error(a, refusal)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		method, name, value string
		status              int
		header              string
	}{
		{"POST", "", "", 405, "Allow"},
		{"GET", "Connection", "close", 426, "Upgrade"},
		{"GET", "Upgrade", "h2c", 426, "Upgrade"},
		{"GET", "Sec-WebSocket-Version", "8", 426, "Sec-WebSocket-Version"},
		{"GET", "Sec-WebSocket-Version", "", 426, "Sec-WebSocket-Version"},
		{"GET", "Sec-WebSocket-Key", "", 400, ""},
		{"GET", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ", 400, ""},
		{"GET", "Sec-WebSocket-Key", "c2hvcnQ=", 400, ""},
	} {
		h := valid()
		if c.name != "" {
			h.Set(c.name, c.value)
		}
		_, refusal := Accept(c.method, joined(h), Offer{})
		if refusal == nil || refusal.Status != c.status || refusal.Name != c.header || refusal.What == "" {
			t.Errorf("%+v: %+v", c, refusal)
		}
	}
}

func TestOffersOfDeflate(t *testing.T) {
	for offer, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                             true,
		"permessage-deflate; client_max_window_bits=10":                          true,
		"permessage-deflate; client_max_window_bits=16":                          false,
		"permessage-deflate; server_max_window_bits=15":                          true,
		"permessage-deflate; server_max_window_bits=10":                          false,
		"permessage-deflate; server_max_window_bits":                             false,
		"permessage-deflate; server_no_context_takeover":                         true,
		"permessage-deflate; server_no_context_takeover=1":                       false,
		"permessage-deflate; server_no_context_takeover; ":                       false,
		"permessage-deflate; server_no_context_takeover; client_max_window_bits": true,
		"permessage-deflate; client_max_window_bits; client_max_window_bits":     false,
		"permessage-deflate; unknown":                                            false,
		"permessage-deflate;":                                                    true,
		"permessage-deflate; server_max_window_bits=8, permessage-deflate":       true,
		"x-webkit-deflate-frame":                                                 false,
		"permessage-deflated":                                                    false,
	} {
		h := valid()
		h.Set("Sec-WebSocket-Extensions", offer)
		a, refusal := Accept("GET", joined(h), Offer{Deflate: true})
		if refusal != nil || a.Deflate != want {
			t.Errorf("%q: %v %v", offer, a.Deflate, refusal)
		}
		if strings.Contains(string(a.AppendResponse(nil)), "takeover") != want {
			t.Errorf("%q: the answer", offer)
		}
		if a, _ := Accept("GET", joined(h), Offer{}); a.Deflate {
			t.Errorf("%q: accepted without being on", offer)
		}
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("Upgrade", "websocket", "13", "dGhlIHNhbXBsZSBub25jZQ==", "a,b", "permessage-deflate; client_max_window_bits=10")
	f.Fuzz(func(t *testing.T, connection, upgrade, version, key, protocols, extensions string) {
		h := map[string]string{"Connection": connection, "Upgrade": upgrade, "Sec-WebSocket-Version": version, "Sec-WebSocket-Key": key,
			"Sec-WebSocket-Protocol": protocols, "Sec-WebSocket-Extensions": extensions}
		a, refusal := Accept("GET", func(name string) string { return h[name] }, Offer{Protocols: []string{"a"}, Deflate: true})
		if (refusal == nil) != (a.accept != "") {
			t.Error(a, refusal)
		}
		if refusal == nil && strings.Count(string(a.AppendResponse(nil)), "\n") > 7 {
			t.Errorf("%q", a.AppendResponse(nil))
		}
	})
}
