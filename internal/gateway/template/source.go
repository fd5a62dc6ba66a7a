package template

import "github.com/headrace/headrace/internal/exchange"

// source is where a value comes from.
type source byte

const (
	literal source = iota // the text of the template itself
	parameter
	claimed
	clientAddress
	host
	path
	method
	requestID
	subject
)

var sources = map[string]source{"client_address": clientAddress, "host": host, "path": path, "method": method, "request_id": requestID, "subject": subject}

func (p *part) append(b []byte, r *exchange.Request) []byte {
	switch p.from {
	case parameter:
		return append(b, r.Params[p.index]...)
	case claimed:
		return append(b, r.Identity.Claim(p.name)...)
	case clientAddress:
		return r.Client().AppendTo(b)
	case host:
		return append(b, r.Request.Header.Host()...)
	case path:
		return append(b, r.Path()...)
	case method:
		return append(b, r.Method()...)
	case requestID:
		return append(b, r.ID()...)
	case subject:
		if r.Identity != nil {
			return append(b, r.Identity.Subject...)
		}
	}
	return b
}
