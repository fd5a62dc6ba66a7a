package config

import "time"

// Engine is where everything durable is kept.
type Engine struct {
	// Address of an external NATS server, as in nats://host:4222; several are separated by commas. Empty runs the embedded one.
	URL string `yaml:"url" secret:"url"`
	// Folder of the embedded engine, of the job index and of blobs.
	Data string `yaml:"data" path:"true"`
	// When a write is acknowledged: after it is on the disk (fsync), or after it was handed to the operating system (written).
	Durability string `yaml:"durability" enum:"fsync,written"`
	// Free disk space under which new work is refused with HR5002; 0B never refuses.
	MinFree Size `yaml:"min_free"`
	// How long a blob is kept that no job refers to.
	KeepBlobs time.Duration `yaml:"keep_blobs" min:"1m"`
	// Copies of each stream in a cluster; more than 1 needs engine.url.
	Replicas int `yaml:"replicas" min:"1" max:"5"`
}

// scalar reads `engine: nats://host:4222`.
func (Engine) scalar() string { return "url" }
