package jobs

import (
	"bytes"
	"context"
	"time"

	"github.com/headrace/headrace/internal/engine/blob"
)

const (
	// sweepEvery is how often blobs that nothing refers to are removed.
	sweepEvery = 10 * time.Minute
	// digestSize is the length of a digest: sha256: and 64 hexadecimal digits.
	digestSize = len("sha256:") + 64
)

// blobsIn finds the blobs that JSON documents refer to.
func blobsIn(docs ...[]byte) (found []blob.Digest) {
	for _, doc := range docs {
		for {
			_, after, ok := bytes.Cut(doc, []byte(`"$blob"`))
			if !ok {
				break
			}
			doc = after
			at := bytes.Index(after, []byte("sha256:"))
			if at < 0 || len(after) < at+digestSize {
				break
			}
			if d, err := blob.ParseDigest(string(after[at : at+digestSize])); err == nil {
				found = append(found, d)
			}
		}
	}
	return found
}

// sweepBlobs removes the blobs that no live job and no kept one refers to, once they have not been used for engine.keep_blobs.
func (j *Jobs) sweepBlobs(ctx context.Context) error {
	used := map[blob.Digest]bool{}
	j.mu.Lock()
	for _, list := range []map[ID]*job{j.live, j.recent} {
		for _, b := range list {
			for _, d := range b.blobs {
				used[d] = true
			}
		}
	}
	j.mu.Unlock()
	if err := j.index.blobs(ctx, used); err != nil {
		return err
	}
	swept, err := j.engine.Blobs().Sweep(func(d blob.Digest) bool { return used[d] }, j.config.Engine.KeepBlobs)
	if swept.Blobs > 0 {
		j.log.Info("unused blobs removed", "blobs", swept.Blobs, "bytes", swept.Bytes)
	}
	return err
}

// blobs adds the blobs that the jobs of the index refer to.
func (x *index) blobs(ctx context.Context, used map[blob.Digest]bool) error {
	rows, err := x.db.QueryContext(ctx, "SELECT DISTINCT digest FROM blobs")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d blob.Digest
		if err := rows.Scan(&d); err != nil {
			return err
		}
		used[d] = true
	}
	return rows.Err()
}
