package config

// Compress compresses answers for clients that take it. The section without keys turns it on.
type Compress struct {
	// Smallest body that is compressed.
	MinSize Size `yaml:"min_size" min:"1B"`
}

func (c *Compress) defaults() { *c = Compress{MinSize: KiB} }
