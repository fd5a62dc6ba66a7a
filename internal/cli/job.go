package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) jobCommand() *cobra.Command {
	return group("job", "Enqueue, find, follow and steer jobs",
		a.jobEnqueue(), a.jobList(), a.jobGet(), a.jobTail(), a.jobCancel(), a.jobRetry())
}

// job is what the API tells of one.
type job struct {
	ID       string    `json:"id"`
	Function string    `json:"function"`
	Queue    string    `json:"queue"`
	State    string    `json:"state"`
	Attempt  int       `json:"attempt"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Progress *progress `json:"progress"`
	Error    string    `json:"error"`
}

type progress struct {
	Done  float64 `json:"done"`
	Total float64 `json:"total"`
	Note  string  `json:"note"`
}

func (p *progress) String() string {
	if p == nil {
		return ""
	}
	text := strconv.FormatFloat(p.Done, 'f', -1, 64)
	if p.Total > 0 {
		text = fmt.Sprintf("%.0f%%", 100*p.Done/p.Total)
	}
	return strings.TrimSpace(text + " " + p.Note)
}

// query collects the flags that were set, under their names with _ for -.
func query(flags *pflag.FlagSet, except ...string) url.Values {
	values := url.Values{}
	flags.Visit(func(f *pflag.Flag) {
		for _, name := range append(except, "config", "set", "server", "token-file", "output") {
			if f.Name == name {
				return
			}
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values.Set(strings.ReplaceAll(f.Name, "-", "_"), strings.Join(list.GetSlice(), ","))
			return
		}
		values.Set(strings.ReplaceAll(f.Name, "-", "_"), f.Value.String())
	})
	return values
}

func (a *app) jobEnqueue() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enqueue FUNCTION [ARGS]",
		Short: "Store a job; ARGS is a JSON object, @FILE, or - for stdin",
		Example: `  headrace job enqueue count '{"to": 10}'
  headrace job enqueue count @args.json --delay 5m --tags nightly,test`,
		Args: needs("FUNCTION", "[ARGS]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := a.arguments(args[1:])
			if err != nil {
				return err
			}
			var told struct {
				ID, State, Durability, Error string
				Result                       json.RawMessage
			}
			show, err := a.ask(cmd.Context(), request{
				method: http.MethodPost, path: []string{"jobs", args[0]}, query: query(cmd.Flags()), body: bytes.NewReader(body),
				header: http.Header{"Content-Type": {"application/json"}},
			}, &told)
			if err != nil || !show {
				return err
			}
			switch {
			case told.Result != nil:
				return a.printJSON(told.Result)
			case ended(told.State):
				fmt.Fprintln(a.Stdout, told.ID)
				fmt.Fprintln(a.Stderr, strings.TrimSpace(told.State+" "+printable(told.Error)))
				if told.State != "succeeded" {
					return exitCode(ExitJobFailed)
				}
				return nil
			}
			fmt.Fprintln(a.Stdout, told.ID)
			fmt.Fprintf(a.Stderr, "%s, %s; follow it with: headrace job tail %s\n", told.State, told.Durability, told.ID)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.String("delay", "", "time to wait before it starts, as in 5m")
	flags.String("run-at", "", "time to start, as in 2030-01-31T06:00:00Z")
	flags.String("priority", "", "low, normal, high or critical")
	flags.String("key", "", "concurrency key")
	flags.Int("key-limit", 0, "jobs of the key that run at once (default 1)")
	flags.String("queue", "", "queue to put it in (default that of the function)")
	flags.String("unique-policy", "", "which unique job is kept: oldest or newest")
	flags.StringSlice("after", nil, "id of a job that it comes after, repeatable")
	flags.String("after-policy", "", "stop or continue, if one of these does not succeed")
	flags.String("idempotency-key", "", "the same key is the same job, also over restarts")
	flags.String("unique", "", "args, the name of an argument, or a text: a pending job of the function with the same is the same job")
	flags.Int("retries", 0, "runs after the first if it fails")
	flags.String("timeout", "", "longest run, as in 10m")
	flags.String("expires", "", "time until it must have ended, as in 1h")
	flags.StringSlice("tags", nil, "tags, to find it by")
	flags.String("wait", "", "wait up to this long for its end and print the result, as in 30s")
	return cmd
}

// arguments reads the JSON of an optional argument.
func (a *app) arguments(args []string) ([]byte, error) {
	text := []byte("{}")
	if len(args) > 0 {
		var err error
		if text, err = a.input(args[0]); err != nil {
			return nil, err
		}
	}
	if !json.Valid(text) {
		return nil, usage("the arguments are not JSON").Hinting(`write one JSON object in single quotes, as in '{"to": 10}'`)
	}
	return text, nil
}

// input is an argument itself, the content of @FILE, or stdin for -.
func (a *app) input(arg string) (text []byte, err error) {
	switch name, isFile := strings.CutPrefix(arg, "@"); {
	case arg == "-":
		text, err = io.ReadAll(a.Stdin)
	case isFile:
		text, err = os.ReadFile(a.path(name))
	default:
		text = []byte(arg)
	}
	if err != nil {
		return nil, usage("arguments: %w", err).Hinting("name a file that can be read")
	}
	return text, nil
}

func filters(flags *pflag.FlagSet) {
	flags.StringSlice("state", nil, "waiting, scheduled, ready, running, succeeded, dead, cancelled or expired, repeatable")
	flags.String("function", "", "only of this function")
	flags.String("queue", "", "only of this queue")
	flags.String("tag", "", "only with this tag")
	flags.String("key", "", "only with this concurrency key")
	flags.String("since", "", "only those created within this time, as in 1h, or after this date")
}

func (a *app) jobList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List jobs, newest first", Args: needs(),
		Example: "  headrace job list --state dead,running --function report",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Jobs   []job
				Cursor string
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"jobs"}, query: query(cmd.Flags())}, &told)
			if err != nil || !show {
				return err
			}
			rows := make([][]string, len(told.Jobs))
			for i, j := range told.Jobs {
				rows[i] = []string{j.ID, j.State, j.Function, j.Queue, strconv.Itoa(j.Attempt), ago(j.Created), or(j.Error, j.Progress.String())}
			}
			if err := table(a.Stdout, []string{"id", "state", "function", "queue", "attempt", "age", "note"}, rows); err != nil {
				return err
			}
			switch {
			case len(rows) == 0:
				fmt.Fprintln(a.Stderr, "no jobs; enqueue one with: headrace job enqueue FUNCTION '{}'")
			case told.Cursor != "":
				fmt.Fprintf(a.Stderr, "more with: --cursor %s\n", told.Cursor)
			}
			return nil
		},
	}
	filters(cmd.Flags())
	cmd.Flags().Int("limit", 100, "most jobs to list, up to 1000")
	cmd.Flags().String("cursor", "", "continue where a list ended")
	return cmd
}

func (a *app) jobGet() *cobra.Command {
	var part string
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show a job, its arguments, result, attempts or logs", Args: needs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := []string{"jobs", args[0]}
			switch part {
			case "":
			case "args", "result", "attempts", "logs":
				path = append(path, part)
			default:
				return usage("--show %s is not a part of a job", part).Hinting("write --show args, result, attempts or logs")
			}
			if part == "logs" && a.output == "table" {
				return a.jobLogs(cmd, path)
			}
			var told json.RawMessage
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: path}, &told)
			switch {
			case err != nil || !show:
				return err
			case part == "":
				return fields(a.Stdout, told)
			}
			return a.printJSON(told)
		},
	}
	cmd.Flags().StringVar(&part, "show", "", "args, result, attempts or logs instead of the job itself")
	return cmd
}

// jobLogs prints the lines that a job has logged.
func (a *app) jobLogs(cmd *cobra.Command, path []string) error {
	var told struct {
		Logs []struct {
			At          time.Time
			Level, Text string
		}
	}
	if _, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: path}, &told); err != nil {
		return err
	}
	for _, l := range told.Logs {
		for line := range strings.Lines(l.Text) {
			fmt.Fprintf(a.Stdout, "%s %-7s %s\n", l.At.Local().Format(time.TimeOnly), l.Level, printable(strings.TrimRight(line, "\n")))
		}
	}
	return nil
}

func (a *app) jobCancel() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel [ID...]", Short: "End jobs, running ones too, by id or by filter", Args: needs("[ID...]"),
		Example: "  headrace job cancel --queue mail --state scheduled,ready",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.manyJobs(cmd, args, "cancel", "cancelled") },
	}
	filters(cmd.Flags())
	cmd.Flags().Int("limit", 1000, "most jobs to cancel, up to 1000")
	return cmd
}

// manyJobs does one thing to the jobs of the ids, or to those that the filters select.
func (a *app) manyJobs(cmd *cobra.Command, ids []string, verb, done string) error {
	filter := query(cmd.Flags(), "limit")
	switch {
	case len(ids) > 0 && len(filter) > 0:
		return usage("%s takes ids or filters, not both", verb).Hinting("remove one of the two")
	case len(ids) > 0:
		return a.eachJob(cmd, ids, verb)
	case len(filter) == 0:
		return usage("%s needs ids or a filter", verb).Hinting("see headrace job %s --help", verb)
	}
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	filter.Set("limit", strconv.Itoa(limit))
	var told map[string]int
	show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"jobs", verb}, query: filter}, &told)
	if err != nil || !show {
		return err
	}
	fmt.Fprintf(a.Stdout, "%d %s\n", told[done], done)
	if told[done] == limit {
		fmt.Fprintln(a.Stderr, "there may be more; run it again")
	}
	return nil
}

// eachJob does one thing to each of some jobs and tells the state they are in.
func (a *app) eachJob(cmd *cobra.Command, ids []string, verb string) error {
	for _, id := range ids {
		var told job
		show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"jobs", id, verb}}, &told)
		if err != nil {
			return err
		}
		if show {
			fmt.Fprintf(a.Stdout, "%s %s\n", id, or(told.State, verb+" requested"))
		}
	}
	return nil
}

func (a *app) jobRetry() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry [ID...]", Args: needs("[ID...]"), Short: "Run ended jobs again, by id or by filter",
		Example: "  headrace job retry --state dead --function report",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !cmd.Flags().Changed("state") {
				return usage("retry needs ids or --state").Hinting("write headrace job retry --state dead to retry all that are dead")
			}
			return a.manyJobs(cmd, args, "retry", "retried")
		},
	}
	filters(cmd.Flags())
	cmd.Flags().Int("limit", 1000, "most jobs to retry, up to 1000")
	return cmd
}
