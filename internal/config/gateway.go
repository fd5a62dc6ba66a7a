package config

// Gateway bounds what the policies of all routes hold in memory.
type Gateway struct {
	// Keys, such as addresses, that limits count at a time, about 100 bytes each. Beyond it, the key that has used the least of its limit is
	// forgotten and begins anew.
	LimitKeys int `yaml:"limit_keys" min:"1024" max:"100000000"`
	// Memory for the answers that the policy cache keeps.
	CacheMemory Size `yaml:"cache_memory" min:"1MiB"`
}
