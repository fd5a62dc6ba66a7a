package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/problem"
)

// Stream creates the stream, or opens it when it is there with the same options. It never changes a stream: other options
// are HR5009, which names each of them. A new stream is durable when it returns.
func (e *Engine) Stream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if cfg.PersistMode == jetstream.AsyncPersistMode && e.Durability() != string(Written) {
		return nil, problem.New("HR5009", "persist mode async acknowledges before it writes").At(cfg.Name).
			Hinting("leave the persist mode out, or set engine.durability to written")
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = e.cfg.Replicas
	}
	stream, err := js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, e.conflict(ctx, js, cfg)
	}
	if err != nil {
		return nil, problem.New("HR5005", "stream cannot be opened: %w", err).At(cfg.Name)
	}
	if cfg.Storage == jetstream.MemoryStorage {
		e.memory.Store(cfg.Name, nil)
		return stream, nil
	}
	e.memory.Delete(cfg.Name)
	if err := e.Commit(ctx, cfg.Name); err != nil {
		return nil, err
	}
	return stream, nil
}

// conflict tells how the stream that is there differs from the one that is wanted.
func (e *Engine) conflict(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	stream, err := js.Stream(ctx, want.Name)
	if err != nil {
		return problem.New("HR5005", "stream cannot be opened: %w", err).At(want.Name)
	}
	return problem.New("HR5009", "stream is there with other options: %s",
		strings.Join(differences(stream.CachedInfo().Config, want), "; ")).At(want.Name)
}

// differences lists what is asked for and is otherwise. Options that were left out have the server's defaults and are not
// looked at, unless nothing else differs.
func differences(have, want jetstream.StreamConfig) []string {
	had, wanted := fields(have), fields(want)
	var list []string
	for name, value := range wanted {
		if string(had[name]) != string(value) {
			list = append(list, fmt.Sprintf("%s is %s, asked for %s", name, orNone(had[name]), value))
		}
	}
	for name, value := range had {
		if _, ok := wanted[name]; !ok && !isDefault(name) {
			list = append(list, fmt.Sprintf("%s is %s, not asked for", name, value))
		}
	}
	sort.Strings(list)
	return list
}

// isDefault tells of options that the server fills in.
func isDefault(name string) bool {
	switch name {
	case "max_msgs", "max_bytes", "max_msg_size", "max_msgs_per_subject", "max_consumers", "duplicate_window",
		"num_replicas", "compression", "metadata", "consumer_limits", "allow_direct", "deny_delete", "deny_purge":
		return true
	}
	return false
}

// fields are the options that are not zero.
func fields(cfg jetstream.StreamConfig) map[string]json.RawMessage {
	text, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Sprintf("engine: stream options: %v", err)) // a struct of plain fields
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		panic(fmt.Sprintf("engine: stream options: %v", err))
	}
	for name, value := range all {
		switch string(value) {
		case "0", `""`, "false", "null", "{}":
			delete(all, name)
		}
	}
	return all
}

func orNone(value json.RawMessage) string {
	if value == nil {
		return "not set"
	}
	return string(value)
}

// streamsBytes is what the streams of the embedded server hold, for the metric.
func (e *Engine) streamsBytes() uint64 {
	if e.srv == nil {
		return 0
	}
	info, err := e.srv.Jsz(&server.JSzOptions{})
	if err != nil {
		return 0
	}
	return info.Bytes
}
