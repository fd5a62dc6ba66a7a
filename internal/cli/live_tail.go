package cli

import (
	"cmp"
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

// happening is what the API tells of a channel.
type happening struct {
	Channel      string
	At           time.Time
	Data         json.RawMessage
	B64Data      string
	Offset       uint64
	Client, User string
	Count        uint64 // of what was missed
}

var errEnough = errors.New("as much as was asked for")

func (a *app) liveTail() *cobra.Command {
	var history, count int
	cmd := &cobra.Command{
		Use: "tail CHANNEL", Short: "Follow what happens in a channel, or in several by a pattern with *", Args: needs("CHANNEL"),
		Long:    "Follow publications, joins and leaves, until it is interrupted. Nobody in the channel sees it. With -o json each event is one line.",
		Example: "  headrace live tail chat:lobby --history 10\n  headrace live tail 'chat:*' -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if history < 0 || count < 0 {
				return usage("--history and --count are numbers from 0 on").Hinting("leave them out, or write such a number")
			}
			answer, err := a.send(cmd.Context(), request{method: http.MethodGet, path: []string{"live", "tail"}, query: tailQuery(args[0], history)})
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			seen := 0
			err = readEvents(answer.Body, func(e event) error {
				if err := a.happened(e); err != nil {
					return err
				}
				if e.kind == "publication" {
					if seen++; seen == count {
						return errEnough
					}
				}
				return nil
			})
			switch {
			case errors.Is(err, errEnough):
				return nil
			case cmd.Context().Err() != nil:
				return cmd.Context().Err()
			}
			return problem.New("HR9006", "%s ended the stream: %w", a.server, cmp.Or(err, io.EOF))
		},
	}
	cmd.Flags().IntVar(&history, "history", 0, "begin with this many of the last publications of a single channel, up to 1000")
	cmd.Flags().IntVar(&count, "count", 0, "end after this many publications; 0 goes on")
	return cmd
}

// happened prints one event.
func (a *app) happened(e event) error {
	var told happening
	if err := json.Unmarshal([]byte(e.data), &told); err != nil {
		return problem.New("HR9006", "%s told %s, which is no event", a.server, printable(e.data))
	}
	if e.kind == "open" {
		if a.output == "table" {
			fmt.Fprintf(a.Stderr, "following %s; end with Ctrl-C\n", printable(told.Channel))
		}
		return nil
	}
	if a.output == "json" {
		out, err := json.Marshal(map[string]any{"event": e.kind, "data": json.RawMessage(e.data)})
		if err != nil {
			return err
		}
		return a.printJSON(out)
	}
	var words []string
	if !told.At.IsZero() {
		words = append(words, told.At.Local().Format("15:04:05.000"))
	}
	if told.Channel != "" {
		words = append(words, told.Channel)
	}
	switch e.kind {
	case "publication":
		if told.Offset > 0 {
			words = append(words, fmt.Sprintf("#%d", told.Offset))
		}
		if told.User != "" {
			words = append(words, told.User+":")
		}
		text := string(told.Data)
		if told.B64Data != "" {
			text = "base64 " + told.B64Data
		}
		words = append(words, text)
	case "missed":
		words = append(words, fmt.Sprintf("missed %d: more is published than can be shown", told.Count))
	default:
		words = append(words, e.kind, cmp.Or(told.User, told.Client))
	}
	_, err := fmt.Fprintln(a.Stdout, printable(strings.Join(words, " ")))
	return err
}
