package cli

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

//go:embed template
var templates embed.FS

func (a *app) initCommand() *cobra.Command {
	return group("init", "Write a small app to begin with", &cobra.Command{
		Use: "python [FOLDER]", Short: "Write app.py and headrace.yaml; existing files are never changed", Args: needs("[FOLDER]"),
		RunE: func(_ *cobra.Command, args []string) error {
			folder := "."
			if len(args) > 0 {
				folder = args[0]
			}
			return a.initialise("python", folder)
		},
	})
}

func (a *app) initialise(language, folder string) error {
	sources, err := fs.Sub(templates, "template/"+language)
	if err != nil {
		return err
	}
	names, err := fs.Glob(sources, "*")
	if err != nil {
		return err
	}
	for _, name := range names { // before anything is written
		if _, err := os.Lstat(filepath.Join(a.path(folder), name)); !errors.Is(err, fs.ErrNotExist) {
			return usage("%s is there already", filepath.Join(folder, name)).Hinting("name another folder: headrace init %s FOLDER", language)
		}
	}
	if err := os.MkdirAll(a.path(folder), 0o777); err != nil {
		return usage("%w", err).Hinting("name a folder that can be written")
	}
	for _, name := range names {
		text, err := fs.ReadFile(sources, name)
		if err != nil {
			return err
		}
		if err := writeNew(filepath.Join(a.path(folder), name), text); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "%s\n", filepath.Join(folder, name))
	}
	steps := "\nNext:\n"
	if folder != "." {
		steps += "  cd " + folder + "\n"
	}
	steps += `  headrace dev
  curl localhost:8080/hello -d '{"name": "you"}'
  headrace job enqueue count '{"to": 10}'
`
	_, err = fmt.Fprint(a.Stderr, steps)
	return err
}

func writeNew(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return usage("%w", err).Hinting("name a folder that can be written")
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
