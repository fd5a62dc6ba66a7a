package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// A key is hr_ID_SECRETCHECK in lower case letters and the digits 2 to 7: 12 characters that name it, 26 that are secret (130 random bits), and 7 that
// are a checksum of all before, so that a mistyped key is known as one and scanners of sources find real ones only.
const (
	prefix    = "hr_"
	idSize    = 12
	secretLen = 26
	checkSize = 7
	size      = len(prefix) + idSize + 1 + secretLen + checkSize
)

var checksums = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// generate makes a key.
func generate() (id, text string) {
	id = strings.ToLower(rand.Text()[:idSize])
	body := prefix + id + "_" + strings.ToLower(rand.Text())
	check := checksum([]byte(body))
	return id, body + string(check[:])
}

func checksum(body []byte) (check [checkSize]byte) {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(body))
	checksums.Encode(check[:], sum[:])
	return check
}

// Looks tells whether a text is meant to be a key: it begins like one.
func Looks(text []byte) bool { return len(text) > len(prefix) && string(text[:len(prefix)]) == prefix }

// Parse takes a key apart. It is false for what no headrace has made.
func Parse(text []byte) (id, secret []byte, ok bool) {
	if len(text) != size || !Looks(text) || text[len(prefix)+idSize] != '_' {
		return nil, nil, false
	}
	body := text[:size-checkSize]
	check := checksum(body)
	if !bytes.Equal(check[:], text[size-checkSize:]) {
		return nil, nil, false
	}
	id, secret = body[len(prefix):len(prefix)+idSize], body[len(prefix)+idSize+1:]
	return id, secret, letters(id) && letters(secret)
}

func letters(text []byte) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

func hash(secret []byte) [sha256.Size]byte { return sha256.Sum256(secret) }
