package cli

import (
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
)

func (a *app) poolCommand() *cobra.Command {
	return group("pool", "Look at worker pools; restart and drain them", a.poolList(),
		a.steer("pools", "restart", "Replace its processes, new ones first"),
		a.steer("pools", "drain", "Finish what its processes hold and start no more"))
}

func (a *app) poolList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the pools and their workers", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct {
				Pools []struct {
					Name    string
					Healthy bool
					Workers []struct {
						Name, State         string
						PID, Running, Tasks int
						Memory              int64 // bytes
						Started             time.Time
					}
				}
			}
			show, err := a.ask(cmd.Context(), request{method: http.MethodGet, path: []string{"pools"}}, &told)
			if err != nil || !show {
				return err
			}
			var rows [][]string
			for _, p := range told.Pools {
				health := "healthy"
				if !p.Healthy {
					health = "unhealthy"
				}
				if len(p.Workers) == 0 {
					rows = append(rows, []string{p.Name, health, "", "", "", "", "", "", ""})
				}
				for _, w := range p.Workers {
					rows = append(rows, []string{p.Name, health, w.Name, strconv.Itoa(w.PID), w.State, strconv.Itoa(w.Running), strconv.Itoa(w.Tasks),
						size(w.Memory), ago(w.Started)})
				}
			}
			return table(a.Stdout, []string{"pool", "health", "worker", "pid", "state", "running", "done", "memory", "age"}, rows)
		},
	}
}

// size is a number of bytes as a person reads it.
func size(n int64) string {
	s := config.Size(n)
	switch {
	case s >= 10*config.MiB:
		s -= s % config.MiB
	case s >= config.KiB:
		s -= s % config.KiB
	}
	return s.String()
}
