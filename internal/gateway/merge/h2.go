package merge

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"
)

// sendH2 asks a target that speaks HTTP/2.
func (q *question) sendH2(m *Merge) (answer reply, err error) {
	target := q.target
	ctx, cancel := context.WithDeadline(context.Background(), q.deadline)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, string(q.part.method), target.URL().Scheme+"://"+target.URL().Host+string(q.path), bytes.NewReader(q.body))
	if err != nil {
		return answer, err
	}
	for line := range strings.SplitSeq(string(q.shared.lines), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			ask.Header.Add(name, value)
		}
	}
	if q.body != nil {
		ask.Header.Set("Content-Type", "application/json")
	}
	got, err := target.Transport().RoundTrip(ask)
	if err != nil {
		return answer, err
	}
	defer got.Body.Close()
	answer.response = fasthttp.AcquireResponse()
	answer.status = got.StatusCode
	for _, name := range kept {
		for _, value := range got.Header.Values(name) {
			answer.response.Header.Add(name, value)
		}
	}
	answer.body, err = q.read(m, got.Body, got.ContentLength)
	return answer, err
}

// kept are the headers of parts that are looked at.
var kept = []string{"Content-Type", "Content-Encoding", "Cache-Control", "Age", "Vary", "Www-Authenticate", "Retry-After"}
