package docs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

const errorsIntro = `# Errors

Each kind of failure has one stable code, which is the same in HTTP answers, on the command line, in Python (` + "`hr.HeadraceError.code`" + `) and in logs.

` + "An HTTP answer of 400 or more is `application/problem+json`:\n\n```json\n" +
	`{"type": "https://headrace.dev/errors/HR2002", "title": "argument does not fit the signature", "status": 422, "code": "HR2002",
 "detail": "count: got string, want integer", "where": "/args/to", "hint": "compare with GET /v1/functions"}` + "\n```\n\n" +
	"`detail` and `where` are about this request; `hint` says what to do next, and may be more precise than the one in the table. 429 and 503 carry\n" +
	"`Retry-After`. The source of this page is [spec/errors.yaml](../../spec/errors.yaml).\n"

// planes are the owners of the codes by their second digit.
var planes = map[byte]string{
	'1': "Public listener", '2': "Jobs and calls", '3': "Live", '4': "Telemetry", '5': "Engine", '6': "Workers", '7': "Admin API",
	'9': "Configuration and command line",
}

// errorCodes is the catalogue, one table for each plane.
func errorCodes() (string, error) {
	var b strings.Builder
	b.WriteString(errorsIntro)
	catalogue := problem.Catalogue()
	plane := byte(0)
	for _, code := range slices.Sorted(maps.Keys(catalogue)) {
		name, known := planes[code[2]]
		if !known {
			return "", fmt.Errorf("code %s belongs to no plane", code)
		}
		if code[2] != plane {
			plane = code[2]
			fmt.Fprintf(&b, "\n## %s\n\n| code | status | meaning | next step |\n|---|---|---|---|\n", name)
		}
		e := catalogue[code]
		fmt.Fprintf(&b, "| <a id=\"%s\"></a>`%s` | %d | %s | %s |\n", strings.ToLower(code), code, e.Status, cell(e.Title), cell(e.Hint))
	}
	return b.String(), nil
}

// cell makes text fit into one cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
