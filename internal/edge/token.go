package edge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// followKey signs follow tokens. A token is the end of its life in Unix seconds and the HMAC-SHA256 of the job's id and that time.
type followKey []byte

const tokenTime = 8

var encoding = base64.RawURLEncoding.Strict()

// loadKey reads the key of the data folder, or makes one, so that tokens outlive a restart.
func loadKey(data string) (followKey, error) {
	path := filepath.Join(data, "follow.key")
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
		err = writeKey(path, key)
	}
	if err == nil && len(key) != sha256.Size {
		err = errors.New("it is damaged")
	}
	if err != nil {
		return nil, problem.New("HR5005", "key of follow links: %w", err).At(path).Hinting("remove the file to make a new one; follow links given out until now end")
	}
	return key, nil
}

// writeKey makes the file whole or not at all.
func writeKey(path string, key []byte) error {
	file, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(key)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	return err
}

func (k followKey) sum(id jobs.ID, until []byte) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write(id[:])
	mac.Write(until)
	return mac.Sum(nil)
}

// token is good for one job and for a time.
func (k followKey) token(id jobs.ID, ttl time.Duration) string {
	until := binary.BigEndian.AppendUint64(make([]byte, 0, tokenTime+sha256.Size), uint64(time.Now().Add(ttl).Unix()))
	return encoding.EncodeToString(append(until, k.sum(id, until)...))
}

// check is HR1006 for a token that was not made for this job by this key, or whose time is over. It takes as long for a good one as for a
// wrong one.
func (k followKey) check(id jobs.ID, token []byte) error {
	raw := make([]byte, tokenTime+sha256.Size)
	if n, err := encoding.Decode(raw, token[:min(len(token), encoding.EncodedLen(len(raw)))]); err != nil || n != len(raw) || len(token) != encoding.EncodedLen(len(raw)) {
		return problem.New("HR1006", "the follow token is not valid")
	}
	if !hmac.Equal(raw[tokenTime:], k.sum(id, raw[:tokenTime])) {
		return problem.New("HR1006", "the follow token is not one for this job")
	}
	if until := int64(binary.BigEndian.Uint64(raw)); time.Now().Unix() >= until {
		return problem.New("HR1006", "the follow token has expired").Hinting("send the request again, with the same Idempotency-Key if it had one")
	}
	return nil
}
