package cli

import (
	"github.com/spf13/cobra"

	node "github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/app/handover"
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run [app.py]", Short: "Serve", Args: cobra.MaximumNArgs(1),
		Long: `Starts the engine, the workers and the listeners, and serves until SIGINT or SIGTERM: then new work is refused, running tasks get the
grace of their pool, and everything recorded is committed. A second signal ends the process at once. SIGHUP reads the configuration again.

SIGUSR2 starts the program that is now at this one's place, gives it the listening sockets and, once it has read its configuration, the data
folder. Connections that come meanwhile wait; requests that are under way are finished here. If the new program does not get that far, this
one goes on; if it fails afterwards, the program that runs now is started once more, with the configuration that runs now. The code is 1 if that fails, too.

Below systemd use Type=notify: it is told when requests are served, and of the process that took the place of this one.`,
		Example: "  headrace run\n  headrace run --config /etc/headrace.yaml\n  headrace run app.py --set server.listen=:9090",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.serve(cmd, args, false) },
	}
}

func (a *app) devCommand() *cobra.Command {
	return &cobra.Command{
		Use: "dev [app.py]", Short: "Serve while you write: watch the app and swap its workers on save", Args: cobra.MaximumNArgs(1),
		Long: `Like run, and watches the folder of the app. When a Python file is saved, new workers start with it and the old ones end their running
tasks. An app that does not import is shown with its traceback; the old workers go on meanwhile. When the configuration is saved it is read
again. For production use run.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.serve(cmd, args, true) },
	}
}

func (a *app) serve(cmd *cobra.Command, args []string, dev bool) error {
	sockets, before, err := handover.Inherit()
	if err != nil {
		return err
	}
	if len(args) == 1 {
		a.sets = append(a.sets, "app="+args[0])
	}
	c, err := a.first(before)
	if err != nil {
		return err
	}
	if len(c.Pools) == 0 && len(c.Routes) == 0 && c.Live == nil {
		return problem.New("HR6010", "there is no app to run")
	}
	return node.Run(cmd.Context(), c, node.Options{
		Version: a.Version, Dev: dev, Out: a.Stderr, Log: a.Stderr, Terminal: a.Terminal, Reload: a.load, Files: a.files(),
		Sockets: sockets, Predecessor: before,
	})
}

// first reads the configuration that the process begins with: that of a predecessor which could not be replaced, or the files.
func (a *app) first(before *handover.Predecessor) (*config.Config, error) {
	if before == nil || before.Former == nil {
		return a.load()
	}
	flags, err := a.flags()
	if err != nil {
		return nil, err
	}
	return config.Parse(before.Former.Texts, a.Environ, flags)
}
