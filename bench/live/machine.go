package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/headrace/headrace/bench/rig"
)

// machine says in Markdown what the figures were measured on.
func machine() string {
	var b strings.Builder
	b.WriteString(rig.Hardware(buildDir))
	for _, tool := range [][]string{{rig.Product(), "version"}, {"go", "version"}, {"node", "--version"}} {
		if out, err := exec.Command(tool[0], tool[1:]...).Output(); err == nil {
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			fmt.Fprintf(&b, "- %s: %s\n", filepath.Base(tool[0]), line)
		}
	}
	var pins []string
	text, _ := os.ReadFile(filepath.Join(rivalsDir, "package.json"))
	_, packages, _ := strings.Cut(string(text), `"dependencies": {`)
	for line := range strings.Lines(packages) {
		if pin := strings.Fields(strings.NewReplacer(`"`, "", ",", "", ":", "").Replace(line)); len(pin) == 2 {
			pins = append(pins, strings.Join(pin, " "))
		}
	}
	text, _ = os.ReadFile(filepath.Join(rivalsDir, "centrifuge/go.mod"))
	for line := range strings.Lines(string(text)) {
		if pin := strings.Fields(line); len(pin) == 2 && strings.HasPrefix(pin[1], "v") {
			pins = append(pins, strings.Join(pin, " "))
		}
	}
	fmt.Fprintf(&b, "- %s\n", strings.Join(pins, ", "))
	return b.String()
}
