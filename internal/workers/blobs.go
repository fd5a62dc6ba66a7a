package workers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// remoteBlobs fetches blobs of the server into a local folder, once each, and sends the ones that tasks make.
type remoteBlobs struct {
	agent *agent
	spool string
	cache string
}

func newRemoteBlobs(a *agent, spool string) (*remoteBlobs, error) {
	b := &remoteBlobs{agent: a, spool: spool, cache: filepath.Join(spool, "cache")}
	return b, os.MkdirAll(b.cache, 0o700)
}

// localize gives every blob in args its path here.
func (b *remoteBlobs) localize(ctx context.Context, args []byte) ([]byte, error) {
	if !bytes.Contains(args, []byte(`"$blob"`)) {
		return args, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, problem.New("HR2001", "arguments are not JSON: %w", err)
	}
	if err := b.visit(ctx, value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (b *remoteBlobs) visit(ctx context.Context, value any) error {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			if err := b.visit(ctx, item); err != nil {
				return err
			}
		}
	case map[string]any:
		if digest, ok := v["$blob"].(string); ok {
			path, err := b.fetch(ctx, digest)
			v["path"] = path
			return err
		}
		for _, item := range v {
			if err := b.visit(ctx, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch returns the path of a blob here. Its digest is checked before the path exists.
func (b *remoteBlobs) fetch(ctx context.Context, digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size {
		return "", problem.New("HR5006", "%q is not a digest", digest)
	}
	path := filepath.Join(b.cache, strings.ToLower(sum))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	conn, err := b.agent.open(ctx, "get", digest)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	words, err := accepted(moving{conn})
	if err != nil {
		return "", err
	}
	if len(words) != 1 {
		return "", fmt.Errorf("the server gave no size for %s", digest)
	}
	size, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		return "", err
	}
	part, err := os.CreateTemp(b.cache, "part-")
	if err != nil {
		return "", err
	}
	defer os.Remove(part.Name())
	hash := sha256.New()
	_, err = io.CopyN(io.MultiWriter(part, hash), moving{conn}, size)
	if closed := part.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", err
	}
	if hex.EncodeToString(hash.Sum(nil)) != strings.ToLower(sum) {
		return "", problem.New("HR5007", "the server sent other bytes than those of %s", digest)
	}
	return path, os.Rename(part.Name(), path)
}

// put sends a file of the spool and returns the blob; the file is removed.
func (b *remoteBlobs) put(ctx context.Context, ask blobRequest) (map[string]any, error) {
	if rel, err := filepath.Rel(b.spool, ask.Path); err != nil || !filepath.IsLocal(rel) {
		return nil, problem.New("HR6009", "%s is not in the spool", ask.Path)
	}
	file, err := os.Open(ask.Path)
	if err != nil {
		return nil, problem.New("HR6009", "the file of the blob cannot be read: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	conn, err := b.agent.open(ctx, "put", strconv.FormatInt(info.Size(), 10), ask.Type, ask.Name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.CopyN(moving{conn}, file, info.Size()); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(blobStall))
	words, err := accepted(conn)
	if err != nil {
		return nil, err
	}
	if len(words) != 1 {
		return nil, fmt.Errorf("the server gave no digest")
	}
	_ = os.Remove(ask.Path)
	blob := map[string]any{"$blob": words[0], "size": info.Size(), "type": ask.Type}
	if ask.Name != "" {
		blob["name"] = ask.Name
	}
	return blob, nil
}
