package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/config"
)

const defaultConfig = "headrace.yaml"

// load reads the configuration as the flags and the environment say.
func (a *app) load() (*config.Config, error) {
	files, flags, err := a.sources()
	if err != nil {
		return nil, err
	}
	return config.Load(files, a.Environ, flags)
}

// sources are the files of the configuration and the keys of --set.
func (a *app) sources() (files []string, flags map[string]string, err error) {
	paths := a.configs
	if len(paths) == 0 {
		if _, err := os.Stat(a.path(defaultConfig)); err == nil {
			paths = []string{defaultConfig}
		}
	}
	files = slices.Clone(paths)
	if here, err := os.Getwd(); err != nil || here != a.Dir {
		for i, path := range paths {
			files[i] = a.path(path)
		}
	} // else errors tell the names as the user gave them
	flags, err = a.flags()
	return files, flags, err
}

// flags are the keys of --set.
func (a *app) flags() (map[string]string, error) {
	flags := map[string]string{}
	for _, set := range a.sets {
		key, value, ok := strings.Cut(set, "=")
		if !ok {
			return nil, usage("--set %s has no value", set).Hinting("write --set KEY=VALUE, as in --set server.listen=:9090")
		}
		flags[key] = value
	}
	return flags, nil
}

// files are the absolute names of the configuration files that load reads; the default one need not exist.
func (a *app) files() []string {
	names := slices.Clone(a.configs)
	if len(names) == 0 {
		names = []string{defaultConfig}
	}
	for i, name := range names {
		names[i] = a.path(name)
	}
	return names
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
	return group("config", "Show, describe and reload the configuration", show, a.configReload(),
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

func (a *app) configReload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Have the server read its configuration again", Args: needs(),
		Long: "Have the server read its configuration again, as SIGHUP does. No connection is closed. A configuration that is not valid changes nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told struct{ Changed, Restart []string }
			show, err := a.ask(cmd.Context(), request{method: http.MethodPost, path: []string{"config", "reload"}}, &told)
			if err != nil || !show {
				return err
			}
			for _, key := range told.Changed {
				fmt.Fprintf(a.Stdout, "%s: in force\n", key)
			}
			for _, key := range told.Restart {
				fmt.Fprintf(a.Stdout, "%s: takes a restart\n", key)
			}
			if len(told.Changed)+len(told.Restart) == 0 {
				fmt.Fprintln(a.Stderr, "no key has changed; files that the configuration names are read again")
			}
			return nil
		},
	}
}
