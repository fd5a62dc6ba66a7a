package config

// Field is one key of the configuration, for the reference.
type Field struct {
	Path string
}

// Fields lists all keys.
func Fields() []Field { return nil }
