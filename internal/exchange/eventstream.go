package exchange

import "context"

// EventStream answers with server-sent events for as long as f runs. Its context ends when the client is gone or the server stops; the request
// is not valid in f.
func (r *Request) EventStream(f func(ctx context.Context, send func(kind string, data []byte) error)) {
	r.Response.Header.Set("Cache-Control", "no-store")
	r.Response.Header.Set("X-Accel-Buffering", "no")
	r.stream("text/event-stream", func(ctx context.Context, s *outlet) {
		f(ctx, func(kind string, data []byte) error {
			return s.write(func(b []byte) []byte { return appendEvent(b, 0, kind, data) })
		})
	})
}
