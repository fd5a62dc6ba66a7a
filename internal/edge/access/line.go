package access

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// hidden are headers whose values are never logged.
var hidden = map[string]bool{"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true, "x-api-key": true}

// secrets are the parameters of the query whose values are never logged, as are those that hold one of these words.
var secrets = []string{"token", "key", "secret", "password", "passwd", "signature", "code", "session", "credential", "auth"}

// appendLine writes the record of a request as one object of JSON; the number of bytes follows in appendEnd, when it is known.
func appendLine(b []byte, r *exchange.Request, title string, c *config.Access, now time.Time) []byte {
	b = appendBegin(b, title, now)
	b = member(b, "method", r.Method())
	b = member(b, "host", r.Host())
	b = member(b, "path", r.Path())
	if query := r.URI().QueryString(); len(query) > 0 {
		b = append(b, `,"query":`...)
		b = strictjson.AppendText(b, redact(query, c.Redact))
	}
	b = appendStatus(b, r)
	b = append(b, `,"ms":`...)
	b = strconv.AppendFloat(b, float64(now.Sub(r.Time()).Microseconds())/1000, 'f', 3, 64)
	b = append(b, `,"client":"`...)
	b = r.Client().AppendTo(b)
	b = append(b, `","id":`...)
	b = strictjson.AppendText(b, r.ID())
	if i := r.Identity; i != nil {
		b = text(b, "user", i.Subject)
		b = text(b, "key", i.Key)
	}
	b = text(b, "target", r.Target)
	if trace := r.Request.Header.Peek("Traceparent"); len(trace) == 55 {
		b = member(b, "trace", trace[3:35])
	}
	b = member(b, "agent", r.Request.Header.UserAgent())
	b = member(b, "referer", referer(r.Request.Header.Referer()))
	for _, name := range c.Headers {
		if value := r.Request.Header.Peek(name); len(value) > 0 && !hidden[strings.ToLower(name)] {
			b = append(b, ',')
			b = strictjson.AppendText(b, "header."+strings.ToLower(name))
			b = append(b, ':')
			b = strictjson.AppendText(b, string(value))
		}
	}
	return b
}

// appendBroken writes the record of what could not be read as a request. The reader forgets what it has read of it, and when.
func appendBroken(b []byte, r *exchange.Request, now time.Time) []byte {
	b = appendStatus(appendBegin(b, "none", now), r)
	b = append(b, `,"client":"`...)
	b = r.Peer().AppendTo(b)
	return append(b, '"')
}

func appendBegin(b []byte, title string, now time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, `","level":"INFO","msg":"request","route":`...)
	return strictjson.AppendText(b, title)
}

func appendStatus(b []byte, r *exchange.Request) []byte {
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Response.StatusCode()), 10)
	return text(b, "code", r.Code)
}

func appendEnd(b []byte, o exchange.Outcome) []byte {
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, o.Bytes, 10)
	if o.Err != nil {
		b = text(b, "error", o.Err.Error())
	}
	return append(b, '}', '\n')
}

func member(b []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strictjson.AppendText(b, string(value))
}

func text(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strictjson.AppendText(b, value)
}

// referer is an address without its query, which may hold what redact would leave out.
func referer(address []byte) []byte {
	before, _, _ := bytes.Cut(address, []byte("?"))
	return before
}

// redact replaces the values of parameters that may be secret.
func redact(query []byte, more []string) string {
	var b strings.Builder
	for i, pair := range strings.Split(string(query), "&") {
		if i > 0 {
			b.WriteByte('&')
		}
		name, value, _ := strings.Cut(pair, "=")
		if value != "" && secret(strings.ToLower(name), more) {
			pair = name + "=***"
		}
		b.WriteString(pair)
	}
	return b.String()
}

func secret(name string, more []string) bool {
	for _, word := range secrets {
		if strings.Contains(name, word) || strings.Contains(name, "%") { // an escaped name could be any
			return true
		}
	}
	for _, word := range more {
		if strings.EqualFold(name, word) {
			return true
		}
	}
	return false
}
