package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/headrace/headrace/bench/rig"
)

// machine says in Markdown what the figures were measured on, and with which versions.
func machine(all []*contender) string {
	versions := map[string][]string{
		own: {rig.Product(), "version"}, judge: {"nginx", "-v"}, "HAProxy": {"haproxy", "-v"}, "Caddy": {"caddy", "version"},
		"Traefik": {filepath.Join(buildDir, "traefik"), "version"},
	}
	var b strings.Builder
	b.WriteString(rig.Hardware(buildDir))
	tools := [][]string{{"go", "version"}, {"node", "--version"}, {"h2load", "--version"}}
	for _, c := range all {
		if argv := versions[c.title]; argv != nil {
			tools = append(tools, argv)
		}
	}
	for _, tool := range tools {
		if out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput(); err == nil {
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			fmt.Fprintf(&b, "- %s: %s\n", filepath.Base(tool[0]), strings.Join(strings.Fields(line), " "))
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
	text, _ = os.ReadFile(filepath.Join(rivalsDir, "reverseproxy/go.mod"))
	for line := range strings.Lines(string(text)) {
		if pin := strings.Fields(line); len(pin) == 2 && strings.HasPrefix(pin[1], "v") {
			pins = append(pins, strings.Join(pin, " "))
		}
	}
	fmt.Fprintf(&b, "- %s\n", strings.Join(pins, ", "))
	return b.String()
}
