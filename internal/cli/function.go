package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) functionCommand() *cobra.Command {
	return group("function", "Look at the functions of the workers; call one", a.functionCall(), &cobra.Command{
		Use: "list", Short: "List the functions", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Functions []struct {
					Name, Kind, Pool, Doc string
					Next                  time.Time `json:"next_run"`
				}
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"functions"}}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Functions))
			for i, f := range told.Functions {
				next := ""
				if !f.Next.IsZero() {
					next = f.Next.Local().Format(time.DateTime)
				}
				rows[i] = []string{f.Name, f.Kind, f.Pool, next, f.Doc}
			}
			return table(a.Stdout, []string{"name", "kind", "pool", "next run", "what it does"}, rows)
		},
	})
}

func (a *app) functionCall() *cobra.Command {
	cmd := &cobra.Command{
		Use: "call NAME [ARGS]", Short: "Call a function that is not a job, and print its result; ARGS as in job enqueue", Args: needs("NAME", "[ARGS]"),
		Example: `  headrace function call hello '{"name": "you"}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := a.arguments(args[1:])
			if err != nil {
				return err
			}
			var told json.RawMessage
			show, err := a.ask(cmd.Context(), request{
				method: http.MethodPost, path: []string{"calls", args[0]}, query: query(cmd.Flags()), body: bytes.NewReader(body),
				header: http.Header{"Content-Type": {"application/json"}},
			}, &told)
			if err != nil || !show {
				return err
			}
			return a.printJSON(told)
		},
	}
	cmd.Flags().String("timeout", "", "longest run, as in 10s")
	return cmd
}
