package docs

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/headrace/headrace/internal/cli"
)

const cliIntro = `# Command line

` + "Noun, then verb: `headrace job retry`. stdout is data and stderr is talk, so the output can be piped; `-o json` prints the answer of the admin API\n" +
	"as it is. Verbs about jobs, queues, pools, functions, live channels and blobs talk to a running server: the one that `--server` or `HEADRACE_SERVER` names, or\n" +
	"else the one that `headrace.yaml` in the working folder describes.\n\n" +
	"| exit code | meaning |\n|---|---|\n| 0 | done |\n| 1 | refused or failed; stderr tells why |\n| 2 | wrong usage or configuration; nothing was tried |\n" +
	"| 3 | no server at the address |\n| 4 | the job that was followed did not succeed |\n| 130 | interrupted |\n"

// commandLine is the help of every command.
func commandLine() (string, error) {
	var b strings.Builder
	b.WriteString(cliIntro)
	err := help(&b, nil)
	return b.String(), err
}

// help writes the help of a command and of those below it.
func help(b *strings.Builder, command []string) error {
	var out bytes.Buffer
	code := cli.Main(context.Background(), cli.Env{Args: append(append([]string{}, command...), "--help"), Stdout: &out, Stderr: &out, Version: "VERSION", Dir: "."})
	if code != cli.ExitOK {
		return fmt.Errorf("headrace %s --help ended with code %d: %s", strings.Join(command, " "), code, out.String())
	}
	text := strings.TrimSpace(out.String())
	verbs := below(text)
	if len(verbs) == 0 || len(command) == 0 {
		if len(command) > 0 { // every command has these
			text, _, _ = strings.Cut(text, "\n\nGlobal Flags:")
		}
		fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n```\n", strings.TrimSpace("headrace "+strings.Join(command, " ")), text)
	}
	for _, verb := range verbs {
		if err := help(b, append(append([]string{}, command...), verb)); err != nil {
			return err
		}
	}
	return nil
}

// below reads the names of the commands below one from its help.
func below(text string) (names []string) {
	_, list, found := strings.Cut(text, "Available Commands:\n")
	if !found {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "help" {
			names = append(names, fields[0])
		}
	}
	return names
}
