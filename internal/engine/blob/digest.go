package blob

import (
	"encoding/hex"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

const prefix = "sha256:"

// Digest names a blob by its content: "sha256:" and 64 lower-case hexadecimal digits.
type Digest string

// ParseDigest checks the form; HR5006 when it is not a digest, for no blob can have it.
func ParseDigest(text string) (Digest, error) {
	digits, ok := strings.CutPrefix(text, prefix)
	if ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == "" {
		return Digest(text), nil
	}
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return "", problem.New("HR5006", "%q is not a digest", text).Hinting("write sha256: and 64 hexadecimal digits in lower case")
}

func digestOf(sum []byte) Digest { return Digest(prefix + hex.EncodeToString(sum)) }

// parts are the folder and the file of the blob.
func (d Digest) parts() (folder, file string) {
	return string(d[len(prefix):][:2]), string(d[len(prefix):][2:])
}

// fromParts is the digest of a file in the store, if it is one.
func fromParts(folder, file string) (Digest, bool) {
	d, err := ParseDigest(prefix + folder + file)
	return d, err == nil && len(folder) == 2
}
