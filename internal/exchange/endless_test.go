package exchange

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// An answer of events that never ends by itself ends with the server.
func TestEndlessAnswerEndsWithServer(t *testing.T) {
	ended := make(chan struct{})
	s := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Second, IdleTimeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		Admit: func(*Request) error { return nil },
		Serve: func(r *Request) error {
			from, to := io.Pipe()
			r.OnDone(func(Outcome) { close(ended) })
			r.WatchClient(func() { _ = to.CloseWithError(io.ErrClosedPipe) })
			r.SetContentType("text/event-stream")
			r.Answer(from, -1)
			go func() { _, _ = io.WriteString(to, ": begun\n\n") }()
			return nil
		}})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || line != ": begun\n" {
		t.Fatal(line, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	<-ended
}
