package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"
)

// Offer is what the server can do.
type Offer struct {
	Protocols []string // subprotocols; the client's first that is among them is chosen. A client that offers only others gets none
	Deflate   bool     // permessage-deflate where the client offers it
}

// Accepted is a valid handshake.
type Accepted struct {
	Protocol string // "" none
	Deflate  bool
	accept   string
}

// Refusal is the HTTP answer to a request that is no valid handshake.
type Refusal struct {
	Status      int
	What        string
	Name, Value string // a header that belongs to the answer, or ""
}

func (r *Refusal) Error() string { return "websocket: " + r.What }

// Accept checks a client's request. header returns a header's value, several joined by commas, or "" ; the caller has checked that
// the request is HTTP/1.1 and its Origin welcome.
func Accept(method string, header func(name string) string, o Offer) (Accepted, *Refusal) {
	version := header("Sec-WebSocket-Version")
	key, err := base64.StdEncoding.DecodeString(header("Sec-WebSocket-Key"))
	switch {
	case method != "GET":
		return Accepted{}, &Refusal{405, "a WebSocket handshake is a GET", "Allow", "GET"}
	case !hasToken(header("Connection"), "upgrade") || !hasToken(header("Upgrade"), "websocket"):
		return Accepted{}, &Refusal{426, "a WebSocket handshake has the headers Connection: Upgrade and Upgrade: websocket", "Upgrade", "websocket"}
	case version != "13":
		return Accepted{}, &Refusal{426, "the WebSocket version must be 13", "Sec-WebSocket-Version", "13"}
	case err != nil || len(key) != 16:
		return Accepted{}, &Refusal{Status: 400, What: "Sec-WebSocket-Key must be 16 bytes in base64"}
	}
	sum := sha1.Sum([]byte(header("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	a := Accepted{accept: base64.StdEncoding.EncodeToString(sum[:])}
	for name := range strings.SplitSeq(header("Sec-WebSocket-Protocol"), ",") {
		if name = strings.TrimSpace(name); name != "" && slices.Contains(o.Protocols, name) {
			a.Protocol = name
			break
		}
	}
	a.Deflate = o.Deflate && offersDeflate(header("Sec-WebSocket-Extensions"))
	return a, nil
}

// Headers calls set with each header of the answer, whose status is 101.
func (a Accepted) Headers(set func(name, value string)) {
	set("Upgrade", "websocket")
	set("Connection", "Upgrade")
	set("Sec-WebSocket-Accept", a.accept)
	if a.Protocol != "" {
		set("Sec-WebSocket-Protocol", a.Protocol)
	}
	if a.Deflate {
		set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
	}
}

// AppendResponse appends the whole answer.
func (a Accepted) AppendResponse(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\n"...)
	a.Headers(func(name, value string) {
		dst = append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
	})
	return append(dst, "\r\n"...)
}

func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(t), token) {
			return true
		}
	}
	return false
}

// offersDeflate tells whether one of the offers is a permessage-deflate that we can accept. Our answer asks both sides to forget
// their window after each message, which a server may whatever was offered.
func offersDeflate(list string) bool {
	for offer := range strings.SplitSeq(list, ",") {
		name, parameters, _ := strings.Cut(offer, ";")
		if strings.TrimSpace(name) == "permessage-deflate" && acceptable(parameters) {
			return true
		}
	}
	return false
}

// acceptable refuses parameters that are unknown, doubled or malformed, and a server window below 32 KiB, which our writers have.
func acceptable(parameters string) bool {
	seen := map[string]bool{}
	for p := range strings.SplitSeq(parameters, ";") {
		if strings.TrimSpace(p) == "" && parameters == "" {
			continue
		}
		name, value, given := strings.Cut(p, "=")
		name, value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)
		if seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if given {
				return false
			}
		case "server_max_window_bits":
			if value != "15" {
				return false
			}
		case "client_max_window_bits":
			if given && !slices.Contains([]string{"8", "9", "10", "11", "12", "13", "14", "15"}, value) {
				return false
			}
		default:
			return false
		}
	}
	return true
}
