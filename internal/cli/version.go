package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: needs(),
		RunE: func(*cobra.Command, []string) error {
			if a.output == "json" {
				return a.printJSON(fmt.Appendf(nil, `{"version":%q,"go":%q,"platform":%q}`, a.Version, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH))
			}
			_, err := fmt.Fprintf(a.Stdout, "headrace %s (%s, %s/%s)\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print the completion script of bash, zsh, fish or powershell", Args: needs("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.Stdout)
			case "fish":
				return root.GenFishCompletion(a.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.Stdout)
			}
			return usage("there is no completion for %s", args[0]).Hinting("write bash, zsh, fish or powershell")
		},
	}
}
