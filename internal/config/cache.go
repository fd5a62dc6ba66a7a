package config

// Cache keeps answers as RFC 9111 has it. The section without keys turns it on.
type Cache struct {
	// Largest body of an answer that is kept.
	MaxBody Size `yaml:"max_body" min:"1B"`
}

func (c *Cache) defaults() { *c = Cache{MaxBody: MiB} }
