package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
)

func (a *app) routeCommand() *cobra.Command {
	return group("route", "Look at the routes of the public listener", a.routeList(), a.routeTest(), a.routeTail())
}

// shownRoute is a route as the API shows it.
type shownRoute struct {
	Title, Match, Action, Target, Place string
	Methods, Hosts                      []string
	Header, Query                       map[string]string
	Policies, Off                       []string
}

// around are the sections of the policy, as in "limits, secure, auth off".
func (r *shownRoute) around() string {
	list := slices.Clone(r.Policies)
	for _, name := range r.Off {
		list = append(list, name+" off")
	}
	return strings.Join(list, ", ")
}

// what is all that a request must be.
func (r *shownRoute) what() string {
	var b strings.Builder
	b.WriteString(strings.Join(r.Methods, ",") + " " + strings.Join(r.Hosts, ",") + r.Match)
	for name, value := range r.Header {
		fmt.Fprintf(&b, " %s: %s", name, value)
	}
	for name, value := range r.Query {
		fmt.Fprintf(&b, " ?%s=%s", name, value)
	}
	return b.String()
}

func (a *app) routeList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the routes, in the order of declaration", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct{ Routes []shownRoute }
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"routes"}}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Routes))
			for i, r := range told.Routes {
				rows[i] = []string{r.Title, r.what(), r.Action, r.Target, r.around(), r.Place}
			}
			return table(a.Stdout, []string{"name", "match", "action", "target", "policies", "declared"}, rows)
		},
	}
}

func (a *app) routeTest() *cobra.Command {
	var headers []string
	cmd := &cobra.Command{
		Use: "test METHOD URL", Short: "Tell which route answers a request, and why no other does", Args: needs("METHOD", "URL"),
		Long:    "Tell which route answers a request, and why no other does. Nothing is asked but the table of routes. The exit code is 1 if none answers, or the path or the host is refused.",
		Example: "  headrace route test GET https://api.example.com/orders/1 --header 'X-Version: 2'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var told struct {
				Route     *shownRoute
				Params    []string
				Upstreams []struct {
					Upstream, Why string
					Part          float64
				}
				Code, Reason string
				Considered   []struct {
					Route shownRoute
					Why   string
				}
			}
			query := url.Values{"method": {args[0]}, "url": {args[1]}}
			if len(headers) > 0 {
				query["header"] = headers
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"routes", "test"}, query: query}, &told)
			if err == nil && (told.Route == nil || told.Code != "") {
				err = exitCode(ExitFailed)
			}
			if !show {
				return err
			}
			if told.Route == nil {
				fmt.Fprintf(a.Stdout, "no route: %s %s\n", told.Code, told.Reason)
			} else {
				fmt.Fprintf(a.Stdout, "%s: %s %s (%s)\n", told.Route.Title, told.Route.Action, told.Route.Target, told.Route.Place)
				if around := told.Route.around(); around != "" {
					fmt.Fprintf(a.Stdout, "  policies: %s\n", around)
				}
				if told.Code != "" {
					fmt.Fprintf(a.Stdout, "  refused: %s %s\n", told.Code, told.Reason)
				}
				for _, u := range told.Upstreams {
					fmt.Fprintf(a.Stdout, "  upstream: %s, %.4g %% (%s)\n", u.Upstream, 100*u.Part, u.Why)
				}
				for i, name := range config.Params(told.Route.Match) {
					if i < len(told.Params) {
						fmt.Fprintf(a.Stdout, "  %s: %s\n", name, printable(told.Params[i]))
					}
				}
			}
			rows := make([][]string, len(told.Considered))
			for i, c := range told.Considered {
				rows[i] = []string{c.Route.Title, c.Route.what(), c.Why}
			}
			if len(rows) > 0 {
				fmt.Fprintln(a.Stdout)
				if shown := table(a.Stdout, []string{"not", "match", "since"}, rows); shown != nil {
					return shown
				}
			}
			return err
		},
	}
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header of the request, as in 'X-Version: 2'; may be repeated")
	return cmd
}

func (a *app) routeTail() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tail", Short: "Follow the requests to the public listener", Args: needs(),
		Long: "Follow the requests to the public listener as they are answered, also those that the access log leaves out. With -o json each is one line.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := a.send(cmd.Context(), request{method: http.MethodGet, path: []string{"routes", "tail"}, query: query(cmd.Flags()),
				header: http.Header{"Accept": {"text/event-stream"}}})
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			return readEvents(answer.Body, a.requested)
		},
	}
	cmd.Flags().String("route", "", "only requests of the route with this name")
	cmd.Flags().Int("status", 0, "only answers with at least this status, as 400")
	return cmd
}

// requested tells one request.
func (a *app) requested(e event) error {
	switch e.kind {
	case "missed":
		fmt.Fprintf(a.Stderr, "missed: %s\n", e.data)
		return nil
	case "request":
	default:
		return nil
	}
	if a.output == "json" {
		return a.printJSON([]byte(e.data))
	}
	var told struct {
		Time, Route, Method, Host, Path, Query, Code, Client, User, Target string
		Status                                                             int
		MS                                                                 float64 `json:"ms"`
		Bytes                                                              int64
	}
	if err := json.Unmarshal([]byte(e.data), &told); err != nil {
		return err
	}
	address := told.Path
	if told.Query != "" {
		address += "?" + told.Query
	}
	_, err := fmt.Fprintf(a.Stdout, "%.12s  %d%s  %-6s %s  %s  %.1f ms  %s  %s%s\n", clock(told.Time), told.Status, lead(told.Code), told.Method, printable(address),
		told.Route, told.MS, size(told.Bytes), told.Client, lead(told.Target))
	return err
}

// clock is the time of day of a time in UTC.
func clock(at string) string {
	_, time, _ := strings.Cut(at, "T")
	return strings.TrimSuffix(time, "Z")
}

func lead(text string) string {
	if text == "" {
		return ""
	}
	return " " + text
}
