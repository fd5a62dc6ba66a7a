package cli

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	node "github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/workers"
)

func (a *app) workerCommand() *cobra.Command {
	var address, data, pool string
	var processes int
	c := &cobra.Command{
		Use: "worker app.py", Short: "Run workers here for a headrace on another machine", Args: needs("app.py"),
		Long: `Starts processes of the app here and lets them serve a pool of the headrace at --connect, whose configuration needs workers.listen. The
token file is worker.token in the folder workers of that headrace's data folder; it also holds the fingerprint of its certificate, so that
nothing else is needed to trust it. SIGTERM lets running tasks finish.`,
		Example: "  headrace worker --connect queue.internal:8082 --token-file worker.token app.py --processes 8",
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "" {
				cache, err := os.UserCacheDir()
				if err != nil {
					cache = os.TempDir()
				}
				data = filepath.Join(cache, "headrace")
			}
			if processes == 0 {
				processes = config.CPUs()
			}
			return node.Join(cmd.Context(), address, a.path(a.token), data, workers.Config{
				Name: pool, App: a.path(args[0]), Min: processes, Zygote: true, Grace: 10 * time.Second,
			}, node.Options{Log: a.Stderr, Terminal: a.Terminal})
		},
	}
	flags := c.Flags()
	flags.StringVar(&address, "connect", "", "address of the server's workers.listen, as in queue.internal:8082")
	flags.StringVar(&pool, "pool", config.DefaultPool, "pool of the server to serve")
	flags.IntVar(&processes, "processes", 0, "worker processes to run (default one for each CPU)")
	flags.StringVar(&data, "data", "", "folder for the SDK and for blobs (default headrace in the user's cache folder)")
	_ = c.MarkFlagRequired("connect")
	return c
}
