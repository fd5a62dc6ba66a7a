package blob

import "time"

// Meta is what the sender says of the content. It is no part of it: equal content is stored once under any name.
type Meta struct {
	Type   string // media type; may be empty
	Name   string // file name; may be empty
	Digest Digest // announced by the sender; empty when not. Other content is refused with HR5007
}

// Ref stands for a blob inside JSON.
type Ref struct {
	Digest Digest `json:"$blob"`
	Size   int64  `json:"size"` // bytes
	Type   string `json:"type,omitempty"`
	Name   string `json:"name,omitempty"`
}

// Info is what the store knows of a blob.
type Info struct {
	Size int64     // bytes
	Used time.Time // when it was last put or touched
}
