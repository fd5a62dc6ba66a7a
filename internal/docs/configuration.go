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
` + "```\n\n" + "## Reload\n\n" +
	"On `SIGHUP`, and with `headrace dev` when a file is written, the files are read again. A configuration with an error is refused as a whole:\n" +
	"nothing changes, and the log tells the place. `live`, `routes` and `log.level` take effect at once and close no connection; the log\n" +
	"names keys that changed and take effect with a restart, as turning `live` on and off does.\n\n" + rules

// configuration is the table of all keys.
func configuration() (string, error) { return configurationIntro + config.Reference(), nil }

const rules = `## Rules

` + "`subscribe`, `publish`, `see_presence` and `see_history` of a namespace are rules. An empty rule allows nothing, `true` allows everything, and\n" +
	"any other is an expression of [expr](https://expr-lang.org/docs/language-definition) that is true or false:\n" + `
` + "```yaml\n" + `live:
  token: {secret: file:live.secret}
  namespaces:
    chat:
      subscribe: user in users || claims.role == "moderator"
      publish: any(claims.rooms, # == id)
      see_history: id matches "^public-"
` + "```\n\n" + `| name | value |
|---|---|
` + "| `user` | subject of the token of the connection; empty for an anonymous one |\n" +
	"| `client` | identifier of the connection |\n" +
	"| `channel` | whole name of the channel, as in `chat:dialog#42,43` |\n" +
	"| `id` | name behind the namespace, as in `dialog#42,43` |\n" +
	"| `users` | users behind the `#`, as in `[\"42\", \"43\"]`; empty without one |\n" +
	"| `claims` | claims of the token of the connection |\n" + `
` + "A claim that is missing is `nil`: it is equal to no text and no number, and a comparison with `<` or a member of it makes the rule false.\n" +
	"Write what must be there (`claims.role == \"admin\"`), not what must not (`claims.banned != true` is true without the claim).\n\n" +
	"What a rule costs is bounded: at most 2048 bytes and 256 names, values and operators; no loop in a loop, no ranges, variables and powers;\n" +
	"the pattern of `matches` is a plain text. The functions are abs, all, any, count, filter, first, float, get, hasPrefix, hasSuffix, indexOf,\n" +
	"int, keys, last, len, lower, map, max, min, none, now, one, split, string, trim, trimPrefix, trimSuffix, type, upper and values.\n\n"
