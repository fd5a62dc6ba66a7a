package upstream

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// fill adds what is meant for the client to h: all but the fields of the connection and those that Connection names. Names are in the
// form that fasthttp gives them (Www-Authenticate), values are as they came, fields that occur several times stay apart and in order.
// Date is left to the door, which writes its own.
func (h *head) fill(to *fasthttp.ResponseHeader, lengthToo bool) {
	to.SetStatusCode(h.status)
	to.SetNoDefaultContentType(true)
	if len(h.reason) > 0 && fasthttp.StatusMessage(h.status) == unknownStatus {
		to.SetStatusMessage(h.reason)
	}
	for i := range h.fields {
		f := &h.fields[i]
		if h.names && h.named(f.name) {
			continue
		}
		switch f.kind {
		case ordinary:
			to.AddBytesKV(f.name, f.value)
		case contentType:
			to.SetContentTypeBytes(f.value)
		case server:
			to.SetServerBytes(f.value)
		case trailer:
			if h.chunked && !h.without() {
				_ = to.AddTrailerBytes(f.value) // names that may not be in trailers are left out
			}
		case length:
			if lengthToo {
				to.AddBytesKV(f.name, f.value)
			}
		case upgrade:
			if h.status == fasthttp.StatusSwitchingProtocols {
				to.AddBytesKV(f.name, f.value)
			}
		}
	}
}

// unknownStatus is what fasthttp says for a status without a name.
var unknownStatus = fasthttp.StatusMessage(599)

// without tells whether answers of this status have no body.
func (h *head) without() bool {
	return h.status < 200 || h.status == fasthttp.StatusNoContent || h.status == fasthttp.StatusNotModified
}

// isHead tells whether a method is that whose answers have no body.
func isHead(method []byte) bool { return bytes.Equal(method, []byte("HEAD")) }
