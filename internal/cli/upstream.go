package cli

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) upstreamCommand() *cobra.Command {
	return group("upstream", "Look at upstreams; replace the processes of those that headrace runs", a.upstreamList(), a.upstreamReplace())
}

func (a *app) upstreamList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the targets of the upstreams, and how they are", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Upstreams []struct {
					Name, Why string
					Targets   []struct {
						Name, State, Why         string
						Weight                   int
						Since                    time.Time
						Busy, Requests, Failures uint64
					}
				}
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"upstreams"}}, &told)
			if err != nil || !show {
				return err
			}
			var rows [][]string
			for _, u := range told.Upstreams {
				if len(u.Targets) == 0 {
					rows = append(rows, []string{u.Name, "", "", "", "", "", "", "", u.Why})
				}
				for _, t := range u.Targets {
					rows = append(rows, []string{u.Name, t.Name, t.State, ago(t.Since), strconv.Itoa(t.Weight), fmt.Sprint(t.Busy), fmt.Sprint(t.Requests), fmt.Sprint(t.Failures), t.Why})
				}
			}
			return table(a.Stdout, []string{"upstream", "target", "state", "since", "weight", "busy", "requests", "failures", "why"}, rows)
		},
	}
}

func (a *app) upstreamReplace() *cobra.Command {
	cmd := &cobra.Command{
		Use: "replace NAME", Short: "Replace the processes of an upstream, one after the other; no request fails by it", Args: needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var told struct{ Replaced string }
			show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"upstreams", args[0], "replace"}, query: query(cmd.Flags())}, &told)
			if err != nil || !show {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%s: replaced\n", told.Replaced)
			return err
		},
	}
	cmd.Flags().Duration("timeout", 30*time.Second, "how long to wait for the end of it")
	return cmd
}
