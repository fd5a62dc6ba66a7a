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
	for _, tool := range [][]string{
		{rig.Product(), "version"}, {"go", "version"}, {filepath.Join(buildDir, "venv/bin/python"), "--version"},
		{"node", "--version"}, {"redis-server", "--version"},
	} {
		if out, err := exec.Command(tool[0], tool[1:]...).Output(); err == nil {
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			fmt.Fprintf(&b, "- %s: %s\n", filepath.Base(tool[0]), line)
		}
	}
	for _, file := range []string{"requirements.txt", "package.json"} {
		text, _ := os.ReadFile(filepath.Join(appsDir, file))
		var pins []string
		for word := range strings.FieldsSeq(strings.NewReplacer(`": "`, "==", `"`, "", ",", "").Replace(string(text))) {
			if strings.Contains(word, "==") && !strings.HasPrefix(word, "name") && !strings.HasPrefix(word, "type") {
				pins = append(pins, word)
			}
		}
		fmt.Fprintf(&b, "- %s\n", strings.Join(pins, ", "))
	}
	return b.String()
}
