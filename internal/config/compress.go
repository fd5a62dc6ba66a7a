package config

// Compress compresses answers for clients that take it. The section without keys turns it on.
type Compress struct {
	// Encodings that are offered, the preferred one first; empty is zstd, gzip, br.
	Encodings []string `yaml:"encodings"`
	// How hard it is tried: fast costs about 5 ms of CPU per MB of JSON, balanced 10 to 20, small 20 to 90.
	Level string `yaml:"level" enum:"fast,balanced,small"`
	// Smallest body that is compressed. Bodies that stream without a known size are compressed in any case.
	MinSize Size `yaml:"min_size" min:"1B"`
	// Media types that are compressed, as in application/json, text/* or application/*+json; empty is text, JSON, XML, JavaScript, SVG, WebAssembly and fonts that are not compressed yet. Only by its full name text/event-stream is meant.
	Types []string `yaml:"types"`
	// Decode bodies of requests that come as gzip, br or zstd. Without it functions refuse them, and upstreams get them as they are.
	Decompress bool `yaml:"decompress"`
	// Times that a body of a request may be larger than what came, beyond its first MiB; max_body bounds it as well.
	MaxRatio int `yaml:"max_ratio" min:"1" max:"100000"`
	// Memory of all encoders and decoders that are in use at a time. Answers beyond it, and those that stream beyond half of it, are not compressed; encoded requests are refused with 503.
	Memory Size `yaml:"memory" min:"1MiB"`
}

func (c *Compress) defaults() {
	*c = Compress{Level: "fast", MinSize: KiB, MaxRatio: 100, Memory: 128 * MiB}
}
