package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// app is one run of the command line.
type app struct {
	*Env
	configs []string
	sets    []string // KEY=VALUE
	server  string
	token   string // file
	output  string // table or json
	began   bool   // the command line was understood
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, env Env) int {
	a := &app{Env: &env}
	root := a.root()
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	var quiet exitCode
	if errors.As(err, &quiet) {
		return int(quiet)
	}
	var p *problem.Error
	switch {
	case errors.As(err, &p):
	case ctx.Err() != nil:
		return ExitInterrupted
	case !a.began:
		p = usage("%w", err)
	default:
		p = problem.From(err)
	}
	a.complain(p)
	switch {
	case p.Code == "HR9006":
		return ExitUnreachable
	case strings.HasPrefix(p.Code, "HR9") && p.Code != "HR9004":
		return ExitUsage
	}
	return ExitFailed
}

// exitCode is an error that was already told.
type exitCode int

func (exitCode) Error() string { return "" }

func (a *app) complain(p *problem.Error) {
	if a.output != "json" {
		fmt.Fprint(a.Stderr, p.Text())
		return
	}
	out, _ := json.Marshal(map[string]any{
		"code": p.Code, "title": p.Title(), "status": p.Status(), "detail": p.What, "where": p.Where, "hint": p.Hint,
	})
	fmt.Fprintf(a.Stderr, "%s\n", out)
}

func usage(format string, args ...any) *problem.Error { return problem.New("HR9007", format, args...) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "headrace",
		Short: "API gateway and durable job queue for Python workers, in one process",
		Long: `Headrace carries the I/O of a backend and drives heavy work in Python workers through a durable queue.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 server not reached, 4 the followed job did not succeed,
130 interrupted.
Environment: HEADRACE_SERVER and HEADRACE_TOKEN_FILE stand for --server and --token-file; HEADRACE_SECTION_KEY sets a configuration key.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          refuse,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if a.output != "table" && a.output != "json" {
				wrong := a.output
				a.output = "table"
				return usage("-o %s is not a form of output", wrong).Hinting("write -o table or -o json")
			}
			a.began = true
			return nil
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringArrayVar(&a.configs, "config", nil, "configuration file, repeatable (default headrace.yaml if it exists)")
	flags.StringArrayVar(&a.sets, "set", nil, "configuration key, repeatable, as in --set server.listen=:9090")
	flags.StringVar(&a.server, "server", "", "address of the admin API (default that of the configuration, http://127.0.0.1:8081)")
	flags.StringVar(&a.token, "token-file", "", "file with the admin token (default that of the configuration)")
	flags.StringVarP(&a.output, "output", "o", "table", "table for people, json for programs")
	root.AddCommand(a.initCommand(), a.devCommand(), a.runCommand(), a.workerCommand(), a.checkCommand(), a.doctorCommand(), a.configCommand(), a.jobCommand(), a.queueCommand(), a.poolCommand(),
		a.functionCommand(), a.routeCommand(), a.upstreamCommand(), a.cacheCommand(), a.keyCommand(), a.liveCommand(), a.blobCommand(), a.versionCommand(), a.completionCommand())
	return root
}

func or(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// group is a noun: a command that only has verbs below it.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: refuse}
	c.AddCommand(verbs...)
	return c
}

// refuse shows help, or tells which verb was meant.
func refuse(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	names := make([]string, 0, len(cmd.Commands()))
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	e := usage("%s has no command %s", cmd.CommandPath(), args[0])
	if near := config.Nearest(args[0], names); near != "" {
		return e.Hinting("write %s %s", cmd.CommandPath(), near)
	}
	return e.Hinting("the commands are %s", strings.Join(names, ", "))
}

// flagError tells which flag was meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage("%w", err).Hinting("see %s --help", cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	e := usage("%w", err)
	if near := config.Nearest(unknown.GetSpecifiedName(), names); near != "" {
		return e.Hinting("write --%s", near)
	}
	return e.Hinting("see %s --help", cmd.CommandPath())
}

// needs checks the arguments against their names and tells which one is missing. A name in brackets is optional, one that ends
// in ... takes any number.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := "write " + strings.TrimSpace(cmd.CommandPath()+" "+strings.Join(names, " "))
		for i, name := range names {
			if i >= len(args) && !strings.HasPrefix(name, "[") {
				return usage("%s is missing", strings.TrimSuffix(name, "...")).Hinting("%s", hint)
			}
		}
		many := len(names) > 0 && strings.HasSuffix(strings.Trim(names[len(names)-1], "[]"), "...")
		if len(args) > len(names) && !many {
			return usage("%q is one argument too many", args[len(names)]).Hinting("%s", hint)
		}
		return nil
	}
}
