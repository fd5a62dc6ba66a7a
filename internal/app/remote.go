package app

import (
	"context"
	"io"
	"path/filepath"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/workers"
)

// openWorkersDoor lets workers of other machines in, if the configuration says so.
func (a *App) openWorkersDoor() (err error) {
	if a.config.Workers.Listen == "" {
		return nil
	}
	folder := filepath.Join(a.config.Engine.Data, "workers")
	a.remote, err = workers.Listen(a.config.Workers.Listen, folder, a.pools.find, workerBlobs{a.engine.Blobs(), int64(a.config.Server.MaxBody)}, a.log)
	return err
}

// workerBlobs is the blob store as remote workers reach it.
type workerBlobs struct {
	store *blob.Store
	limit int64 // bytes
}

// Open implements workers.Blobs.
func (b workerBlobs) Open(digest string) (io.ReadCloser, int64, error) {
	d, err := blob.ParseDigest(digest)
	if err != nil {
		return nil, 0, err
	}
	file, info, err := b.store.Open(d)
	return file, info.Size, err
}

// Put implements workers.Blobs.
func (b workerBlobs) Put(r io.Reader, mediaType, name string) (string, error) {
	ref, err := b.store.Put(context.Background(), r, blob.Meta{Type: mediaType, Name: name}, b.limit)
	return string(ref.Digest), err
}

// Join runs workers for a headrace on another machine until the context ends: the processes of the app are started here and serve the
// pool c.Name there. data is a folder for the SDK that the binary carries and for blobs.
func Join(ctx context.Context, address, tokenFile, data string, c workers.Config, o Options) error {
	log, _ := observe.NewLog(o.Log, observe.LogOptions{Terminal: o.Terminal})
	data, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	if c.Runtime, err = extract(data); err != nil {
		return err
	}
	c.Spool = filepath.Join(data, "spool")
	h := &host{pool: c.Name, log: log, health: observe.NewHealth(log), deaths: newDeaths()}
	return workers.Connect(ctx, address, tokenFile, c, h, log)
}
