package config

import "time"

// Merge makes one answer of several parts, which are asked at once.
type Merge struct {
	// Time for the whole.
	Timeout time.Duration `yaml:"timeout" min:"1ms"`
	// Parts of the answer.
	Parts []Part `yaml:"parts"`
}

// Part is one part of a merged answer.
type Part struct {
	// A name of upstreams, or an address.
	Upstream string `yaml:"upstream"`
	// Path that is asked, with parameters of the path in braces.
	Path string `yaml:"path"`
}

func (m *Merge) defaults() { *m = Merge{Timeout: 5 * time.Second} }
