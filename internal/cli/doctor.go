package cli

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Measure the disk and look for what would go wrong on this machine", Args: needs(),
		Long: "Measure the disk of the data folder and look for what would go wrong on this machine.\n" +
			"It may run beside a server, whose load it then measures too. The exit code is 1 if there is advice.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			report, err := engine.Doctor(cmd.Context(), a.engine(c))
			if err != nil {
				return err
			}
			advice := append(report.Warnings, a.pythonAdvice(c)...)
			if a.output == "json" {
				report.Warnings = advice
				body, err := json.Marshal(report)
				if err != nil {
					return err
				}
				err = a.printJSON(body)
				if err != nil {
					return err
				}
			} else if err := a.printReport(c, report); err != nil {
				return err
			}
			for _, text := range advice {
				fmt.Fprintf(a.Stderr, "advice: %s\n", text)
			}
			if len(advice) > 0 {
				return exitCode(ExitFailed)
			}
			return nil
		},
	}
}

// engine is the engine's part of the configuration.
func (a *app) engine(c *config.Config) engine.Config {
	free := int64(c.Engine.MinFree)
	if free == 0 {
		free = -1 // the engine takes 0 for not given
	}
	return engine.Config{
		Data: a.path(c.Engine.Data), URL: c.Engine.URL, Durability: engine.Durability(c.Engine.Durability), Node: c.Node, MinFree: free,
		Replicas: c.Engine.Replicas,
	}
}

func (a *app) printReport(c *config.Config, r engine.Report) error {
	rows := [][]string{
		{"folder", r.Folder + " on " + r.FileSystem},
		{"free", size(r.Free) + ", at least " + c.Engine.MinFree.String() + " must stay"},
		{"open files", fmt.Sprint(r.FileLimit)},
		{"CPUs", fmt.Sprint(config.CPUs())},
	}
	for _, group := range r.Groups {
		rows = append(rows, []string{fmt.Sprintf("sync of %d", group.Messages), fmt.Sprintf("%s, one in a hundred %s", group.P50.Round(10*time.Microsecond), group.P99.Round(10*time.Microsecond))})
	}
	return table(a.Stdout, nil, append(rows, []string{"expect", r.Expect}))
}

// pythonAdvice looks for the interpreter of each pool that names none, and of one to come.
func (a *app) pythonAdvice(c *config.Config) []string {
	names := map[string]bool{}
	for _, p := range c.Pools {
		names[or(p.Python, "python3")] = true
	}
	if len(names) == 0 {
		names["python3"] = true
	}
	var advice []string
	for name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			advice = append(advice, name+" is not found: install Python 3.11 or newer")
			continue
		}
		out, err := exec.Command(path, "-c", "import sys; print(sys.version_info >= (3, 11), sys.version.split()[0])").Output()
		if fits, version, _ := strings.Cut(strings.TrimSpace(string(out)), " "); err != nil || fits != "True" {
			advice = append(advice, fmt.Sprintf("%s is version %s: install Python 3.11 or newer", path, or(version, "unknown")))
		}
	}
	return advice
}
