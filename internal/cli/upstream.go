package cli

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
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
				Upstreams []shownUpstream
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"upstreams"}}, &told)
			if err != nil || !show {
				return err
			}
			var rows [][]string
			for _, u := range told.Upstreams {
				rows = append(rows, u.rows()...)
			}
			return table(a.Stdout, []string{"upstream", "target", "state", "since", "weight", "busy", "requests", "failures", "why"}, rows)
		},
	}
}

// shownUpstream is what the table shows of an upstream.
type shownUpstream struct {
	Name, Why string
	Targets   []struct {
		Name, State, Why         string
		Weight                   int
		Since                    time.Time
		Busy, Requests, Failures uint64
	}
	Processes []struct {
		Number, Restarts int
		State, Trouble   string
		Since            time.Time
	}
}

// rows are one for each target and each process that is none yet, or one that tells why there is neither.
func (u *shownUpstream) rows() (rows [][]string) {
	troubles := map[string]string{} // of processes that run again, by target
	for _, p := range u.Processes {
		if p.Restarts > 0 {
			troubles[fmt.Sprintf("%s/%d", u.Name, p.Number)] = fmt.Sprintf("started again %d times, the last time: %s", p.Restarts, gist(p.Trouble))
		}
	}
	for _, t := range u.Targets {
		rows = append(rows, []string{u.Name, t.Name, t.State, ago(t.Since), strconv.Itoa(t.Weight), fmt.Sprint(t.Busy), fmt.Sprint(t.Requests), fmt.Sprint(t.Failures), or(t.Why, troubles[t.Name])})
	}
	for _, p := range u.Processes {
		if name := fmt.Sprintf("%s/%d", u.Name, p.Number); p.State != "ready" {
			rows = append(rows, []string{u.Name, name, p.State, ago(p.Since), "", "", "", "", troubles[name]})
		}
	}
	if len(rows) == 0 {
		rows = append(rows, []string{u.Name, "", "no target", "", "", "", "", "", u.Why})
	}
	return rows
}

// gist is the first line of a text and the last, which of a traceback is the error.
func gist(text string) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if i := strings.LastIndexByte(rest, '\n'); i >= 0 {
		rest = "… " + rest[i+1:]
	}
	return strings.TrimSpace(first + " " + rest)
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
