package engine

import (
	"log/slog"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// Durability is what an acknowledgement of Commit means on the embedded engine.
type Durability string

// The levels that can be asked for. An external engine decides for itself; see Engine.Durability.
const (
	Fsync   Durability = "fsync"   // the message survives a power cut
	Written Durability = "written" // the message survives the end of the process, not of the machine
)

// Levels that only an external engine reports.
const (
	Replicated Durability = "replicated" // a majority of the replicas has the message in memory of the system or on disk
	External   Durability = "external"   // nothing is known beyond the acknowledgement of the server
)

// Config says where the engine keeps its data and how hard it holds on to it. The zero value is an embedded engine in
// the folder headrace-data that syncs before it acknowledges.
type Config struct {
	Data       string     // folder of the engine; default "headrace-data". Blobs live there with an external engine too
	URL        string     // empty: embedded; nats://host:port, several with commas: external
	Durability Durability // default Fsync; an external engine ignores it
	Node       string     // name of this node, part of stream names: letters, digits, - and _; default "main"
	MinFree    int64      // bytes that must stay free on the disk of Data; default 256 MiB, below 0 switches the guard off
	Replicas   int        // replicas of a stream that asks for no number itself, external only; default 1
	MaxPayload int32      // bytes of the largest message, embedded only; default 8 MiB
	MaxMemory  int64      // bytes for all memory streams, embedded only; default an eighth of GOMEMLIMIT, at most 256 MiB
	MaxStore   int64      // bytes for all file streams, embedded only; default the size of the disk less MinFree

	sync syncFunc // the platform's; tests record or fail here
}

const (
	defaultMinFree    = 256 << 20
	defaultMaxPayload = 8 << 20
)

// withDefaults fills what was left out and refuses what cannot work, with HR9003.
func (c Config) withDefaults() (Config, error) {
	if c.Data == "" {
		c.Data = "headrace-data"
	}
	if c.Durability == "" {
		c.Durability = Fsync
	}
	if c.Durability != Fsync && c.Durability != Written {
		return c, problem.New("HR9003", "durability %q is not known", c.Durability).At("engine.durability").
			Hinting("write fsync or written")
	}
	if c.Node == "" {
		c.Node = "main"
	}
	if !validNode(c.Node) {
		return c, problem.New("HR9003", "node name %q is not valid", c.Node).At("engine.node").
			Hinting("use up to 32 letters, digits, - and _")
	}
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		return c, problem.New("HR9003", "%d replicas are not possible", c.Replicas).At("engine.replicas").
			Hinting("write 1, 3 or 5")
	}
	if c.URL == "" && c.Replicas > 1 {
		return c, problem.New("HR9003", "an embedded engine has one replica, not %d", c.Replicas).At("engine.replicas").
			Hinting("name an external cluster in engine.url")
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = defaultMaxPayload
	}
	if c.sync == nil {
		c.sync = syncFile
	}
	return c, nil
}

func validNode(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return len(name) <= 32 && strings.Trim(name, letters) == ""
}

// discard is the logger of callers that gave none.
func discard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
