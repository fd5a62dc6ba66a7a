package proxy

import (
	"bytes"
	"strconv"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// isRPC tells whether a request is one of gRPC. Such calls have deadlines of their own and may be silent for as long as they like.
func isRPC(r *exchange.Request) bool {
	media := r.Request.Header.ContentType()
	const rpc = "application/grpc"
	return bytes.HasPrefix(media, []byte(rpc)) && (len(media) == len(rpc) || media[len(rpc)] == '+' || media[len(rpc)] == ';')
}

// Codes of gRPC.
const (
	deadlineExceeded  = 4
	resourceExhausted = 8
	internal          = 13
	unavailable       = 14
)

// answerRPC answers a call of gRPC that could not be passed on, with a head that holds what its trailers would.
func answerRPC(r *exchange.Request, p *problem.Error) {
	code := internal
	switch p.Status() {
	case 502, 503:
		code = unavailable
	case 504:
		code = deadlineExceeded
	case 413, 429:
		code = resourceExhausted
	}
	r.Code = p.Code
	r.Response.ResetBody()
	r.Response.SetStatusCode(200)
	r.Response.Header.SetContentType("application/grpc")
	r.Response.Header.Set("Grpc-Status", strconv.Itoa(code))
	r.Response.Header.SetBytesV("Grpc-Message", appendMessage(nil, p.Error()))
}

// appendMessage writes a text as gRPC wants it in headers.
func appendMessage(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return b
}
