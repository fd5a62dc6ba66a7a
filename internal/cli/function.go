package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) functionCommand() *cobra.Command {
	return group("function", "Look at the functions of the workers", &cobra.Command{
		Use: "list", Short: "List the functions", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Functions []struct{ Name, Kind, Pool, Doc string }
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"functions"}}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Functions))
			for i, f := range told.Functions {
				rows[i] = []string{f.Name, f.Kind, f.Pool, f.Doc}
			}
			return table(a.Stdout, []string{"name", "kind", "pool", "what it does"}, rows)
		},
	})
}
