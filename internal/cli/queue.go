package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) queueCommand() *cobra.Command {
	return group("queue", "Look at queues; pause, resume and drain them", a.queueList(),
		a.steer("queues", "pause", "Start no more of its jobs; new ones are still taken"),
		a.steer("queues", "resume", "Start its jobs again"),
		a.steer("queues", "drain", "Pause it, and wait until none of its jobs runs"))
}

func (a *app) queueList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the queues", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Queues []struct {
					Name                               string
					Ready, Running, Scheduled, Waiting int
					Paused                             bool
				}
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"queues"}}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Queues))
			for i, q := range told.Queues {
				state := "open"
				if q.Paused {
					state = "paused"
				}
				rows[i] = []string{q.Name, state, strconv.Itoa(q.Ready), strconv.Itoa(q.Running), strconv.Itoa(q.Scheduled), strconv.Itoa(q.Waiting)}
			}
			return table(a.Stdout, []string{"name", "state", "ready", "running", "scheduled", "waiting"}, rows)
		},
	}
}

// steer is a verb that the server carries out on one queue or pool.
func (a *app) steer(noun, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var told json.RawMessage
			show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{noun, args[0], verb}}, &told)
			if err != nil || !show {
				return err
			}
			if len(told) > 0 {
				return fields(a.Stdout, told)
			}
			_, err = fmt.Fprintf(a.Stdout, "%s: %s requested\n", args[0], verb)
			return err
		},
	}
}
