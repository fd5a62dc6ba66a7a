package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/problem"
)

func (a *app) jobTail() *cobra.Command {
	return &cobra.Command{
		Use: "tail ID", Short: "Follow a job to its end: states, progress, chunks and logs", Args: needs("ID"),
		Long: "Follow a job to its end. Where the connection breaks it is taken up again after the last event, none is lost or repeated.\n" +
			"The exit code is 4 if the job does not succeed. With -o json each event is one line.",
		RunE: func(cmd *cobra.Command, args []string) error {
			t := &tail{app: a, job: args[0]}
			return t.follow(cmd.Context())
		},
	}
}

// tail follows the events of one job.
type tail struct {
	*app
	job   string
	last  string // id of the last event
	state string // last one told
}

// event is one server-sent event.
type event struct{ kind, id, data string }

// follow reads until the job has ended. A server that is gone for more than about ten seconds is an error.
func (t *tail) follow(ctx context.Context) error {
	const most = 20
	for failures := 0; ; {
		before := t.last
		err := t.connect(ctx)
		if ended(t.state) {
			if t.state != "succeeded" {
				return exitCode(ExitJobFailed)
			}
			return nil
		}
		var p *problem.Error
		if err != nil && (before == "" && t.last == "" || errors.As(err, &p) && p.Code != "HR9006" || ctx.Err() != nil) {
			return err
		}
		if failures++; t.last != before {
			failures = 0
		} else if failures > most {
			return problem.New("HR9006", "%s ended the events of %s before the job's end", t.server, t.job)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func ended(state string) bool {
	switch state {
	case "succeeded", "dead", "cancelled", "expired":
		return true
	}
	return false
}

// connect reads one connection to its end.
func (t *tail) connect(ctx context.Context) error {
	header := http.Header{"Accept": {"text/event-stream"}}
	if t.last != "" {
		header.Set("Last-Event-ID", t.last)
	}
	answer, err := t.send(ctx, request{method: http.MethodGet, path: []string{"jobs", t.job, "events"}, header: header})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return readEvents(answer.Body, func(e event) error {
		if e.id != "" {
			t.last = e.id
		}
		return t.print(e)
	})
}

// readEvents calls f for each event of a text/event-stream.
func readEvents(r io.Reader, f func(event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 32<<20)
	var e event
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if e.data != "" {
				if err := f(e); err != nil {
					return err
				}
			}
			e = event{}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.kind = value
		case "id":
			e.id = value
		case "data":
			if e.data != "" {
				value = e.data + "\n" + value
			}
			e.data = value
		}
	}
	return lines.Err()
}

// print tells one event and notes the state.
func (t *tail) print(e event) error {
	var told struct {
		State, Error, Level, Text, Worker string
		progress
	}
	_ = json.Unmarshal([]byte(e.data), &told) // a chunk may be any value
	if e.kind == "state" {
		t.state = told.State
	}
	if t.output == "json" {
		data := json.RawMessage(e.data)
		if !json.Valid(data) {
			data, _ = json.Marshal(e.data)
		}
		out, err := json.Marshal(map[string]any{"event": e.kind, "id": e.id, "data": data})
		if err != nil {
			return err
		}
		return t.printJSON(out)
	}
	text := e.data
	switch e.kind {
	case "state":
		text = strings.Join(strings.Fields(told.State+" "+told.Worker+" "+told.Error), " ")
	case "progress":
		text = told.progress.String()
	case "log":
		text = told.Level + ": " + told.Text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintf(&b, "%-9s %s\n", e.kind, printable(strings.TrimRight(line, "\n")))
	}
	_, err := io.WriteString(t.Stdout, b.String())
	return err
}
