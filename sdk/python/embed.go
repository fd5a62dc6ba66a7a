// Package pythonsdk carries the Python SDK inside the binary, so that a local worker needs no install and never differs in version.
package pythonsdk

import "embed"

// Files holds the package under src/headrace. Put src first on PYTHONPATH.
//
//go:embed src/headrace/*.py src/headrace/py.typed
var Files embed.FS
