package cli

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/gateway"
	"github.com/headrace/headrace/internal/problem"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the configuration and the files that it names, without starting anything", Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if err := a.checkFiles(c); err != nil {
				return err
			}
			return a.checkRoutes(cmd.Context(), c)
		},
	}
}

// checkRoutes compiles the routes and tries their tests.
func (a *app) checkRoutes(ctx context.Context, c *config.Config) error {
	log := slog.New(slog.DiscardHandler)
	g, err := gateway.Check(c, log)
	if err != nil {
		return err
	}
	defer g.Stop(ctx)
	tests, wrong := edge.Check(c, dry{g}, log)
	if len(wrong) > 0 {
		for _, p := range wrong[1:] {
			a.complain(p)
		}
		return wrong[0]
	}
	fmt.Fprint(a.Stderr, "the configuration is valid")
	if tests > 0 {
		fmt.Fprintf(a.Stderr, ", and %d tests of routes pass", tests)
	}
	fmt.Fprintln(a.Stderr)
	return nil
}

// dry is a gateway as the routes want it.
type dry struct{ *gateway.Gateway }

func (g dry) Prepare(ctx context.Context, c *config.Config) (edge.Plan, error) {
	return g.Gateway.Prepare(ctx, c)
}

// checkFiles looks for what the configuration names.
func (a *app) checkFiles(c *config.Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p, at := c.Pools[name], "pools."+name
		file, _, _ := strings.Cut(p.App, ":") // app.py:NAME
		if info, err := os.Stat(a.path(file)); err != nil || info.IsDir() {
			return problem.New("HR6010", "%s.app: there is no file %s", at, file).At(c.Origin(at + ".app"))
		}
		if err := a.checkFolder(c, at+".dir", p.Dir); err != nil {
			return err
		}
		if p.Python != "" {
			if _, err := exec.LookPath(p.Python); err != nil {
				return problem.New("HR6004", "%s.python: %w", at, err).At(c.Origin(at + ".python"))
			}
		}
	}
	for i, r := range c.Routes {
		if err := a.checkFolder(c, fmt.Sprintf("routes[%d].static", i), r.Static); err != nil {
			return err
		}
	}
	const key = "admin.token_file"
	if c.Admin.TokenFile == "" {
		return nil
	}
	if token, err := os.ReadFile(a.path(c.Admin.TokenFile)); err != nil {
		return problem.New("HR9003", "%s: %w", key, err).At(c.Origin(key)).Hinting("make the file, with a long random text in it")
	} else if len(token) < 16 {
		return problem.New("HR9003", "%s: the token is shorter than 16 bytes", key).At(c.Origin(key)).Hinting("put a long random text in it")
	}
	return nil
}

func (a *app) checkFolder(c *config.Config, key, name string) error {
	if name == "" {
		return nil
	}
	if info, err := os.Stat(a.path(name)); err != nil || !info.IsDir() {
		return problem.New("HR9003", "%s: there is no folder %s", key, name).At(c.Origin(key)).Hinting("make the folder, or name another")
	}
	return nil
}
