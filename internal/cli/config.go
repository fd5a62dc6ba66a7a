package cli

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
)

const defaultConfig = "headrace.yaml"

// load reads the configuration as the flags and the environment say.
func (a *app) load() (*config.Config, error) {
	paths := a.configs
	if len(paths) == 0 {
		if _, err := os.Stat(a.path(defaultConfig)); err == nil {
			paths = []string{defaultConfig}
		}
	}
	files := make([]string, len(paths))
	for i, path := range paths {
		files[i] = path
		if dir, err := os.Getwd(); err != nil || dir != a.Dir {
			files[i] = a.path(path)
		}
	}
	return config.Load(files, a.Environ, a.sets)
}

func (a *app) configCommand() *cobra.Command {
	var origin bool
	show := &cobra.Command{
		Use: "show", Short: "Print the values in effect; secrets are hidden", Args: needs(),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			return c.Show(a.Stdout, origin)
		},
	}
	show.Flags().BoolVar(&origin, "origin", false, "tell where each value came from")
	return group("config", "Show and describe the configuration", show,
		&cobra.Command{
			Use: "schema", Short: "Print the JSON Schema of headrace.yaml", Args: needs(),
			RunE: func(*cobra.Command, []string) error { _, err := a.Stdout.Write(config.Schema()); return err },
		},
		&cobra.Command{
			Use: "docs", Short: "Print the reference of all keys in Markdown", Args: needs(),
			RunE: func(*cobra.Command, []string) error {
				_, err := io.WriteString(a.Stdout, config.Reference())
				return err
			},
		})
}
