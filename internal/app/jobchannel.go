package app

import (
	"context"
	"encoding/json"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/problem"
)

// jobChannels are the channels job:<id>, a source of the live plane. The events of a job are its publications and their numbers the
// offsets, so that a subscriber can resume after any of them, also after a restart; the epoch is the job's id. The data of a publication is
// {"kind": "state" | "progress" | "chunk" | "log", "data": …}.
type jobChannels struct {
	jobs    *jobs.Jobs
	follows func(id jobs.ID, token string) error // nil if the token is one of the job's follow link
}

// Namespace implements live.Source.
func (c *jobChannels) Namespace() string { return "job" }

// Allow implements live.Source: the token must be the one of the follow link that the 202 gave.
func (c *jobChannels) Allow(id, token string) error {
	if token == "" {
		return problem.New("HR1005", "the channel of a job needs the token of its follow link").At(id)
	}
	job, err := jobs.ParseID(id)
	if err != nil {
		return problem.New("HR1006", "the follow token is not one for this job")
	}
	return c.follows(job, token)
}

// Read implements live.Source. A job that is not there, or not any more, is HR2007.
func (c *jobChannels) Read(_ context.Context, id string, since uint64) ([]*protocol.Publication, history.Position, error) {
	job, err := jobs.ParseID(id)
	if err != nil {
		return nil, history.Position{}, err
	}
	events, err := c.jobs.Events(job)
	if err != nil {
		return nil, history.Position{}, err
	}
	latest := history.Position{Offset: uint64(len(events)), Epoch: job.String()}
	publications := make([]*protocol.Publication, 0, len(events))
	for _, e := range events[min(since, latest.Offset):] {
		publications = append(publications, published(e))
	}
	return publications, latest, nil
}

// Follow implements live.Source. It returns nil once the job's end was delivered.
func (c *jobChannels) Follow(ctx context.Context, id string, since uint64, deliver func(*protocol.Publication)) error {
	job, err := jobs.ParseID(id)
	if err != nil {
		return err
	}
	return c.jobs.Watch(ctx, job, uint32(since), func(e jobs.Event) error { deliver(published(e)); return nil })
}

// published is an event as a publication.
func published(e jobs.Event) *protocol.Publication {
	data, err := json.Marshal(struct {
		Kind string          `json:"kind"`
		Data json.RawMessage `json:"data"`
	}{e.Kind, e.Data})
	if err != nil { // frames of workers hold checked JSON
		panic("app: event of a job: " + err.Error())
	}
	return &protocol.Publication{Offset: uint64(e.N), Data: data, Time: e.At.UnixMilli()}
}
