package docs

import "github.com/headrace/headrace/internal/config"

const configurationIntro = `# Configuration

` + "Headrace reads `headrace.yaml` in the working folder, or the files named with `--config` (repeatable; a later file is laid over an\n" +
	"earlier one). Values come in four layers, the later wins: defaults, files, environment, flags (`--set KEY=VALUE`).\n" +
	"`headrace config show --origin` prints the values in effect and the place each came from.\n" + `
- A key that is not in these tables is an error, with its line and the nearest key.
- Durations and sizes need a unit: ` + "`500ms`, `30s`, `10m`, `2h`, `7d`; `64KiB`, `1.5GB`, `0B`. Rates are `100/s`, `10/m` or `5/10s`.\n" +
	"- A value that may be a secret can be given as `file:NAME`; it is read from the file and never shown.\n" +
	"- Paths are relative to the file that holds them.\n" +
	"- Editors complete and check the file with the schema that `headrace config schema` prints ([spec/config.schema.json](../../spec/config.schema.json)).\n\n" +
	"```yaml\n" + `app: app.py                     # shorthand for pools.default.app

server:
  listen: ":8080"

queues:
  reports:
    concurrency: 2
    keep: {succeeded: {age: 7d}}

routes:
  - {match: /reports, job: flight_report}
  - {match: "/*", static: web}
` + "```\n\n" + "There is no reload of the configuration: a change takes a restart.\n\n"

// configuration is the table of all keys.
func configuration() (string, error) { return configurationIntro + config.Reference(), nil }
