package config

import "time"

// Cache keeps answers to GET and HEAD as RFC 9111 has it for a shared cache, in gateway.cache_memory. The section without keys turns it on;
// how long an answer is fresh is then what its Cache-Control or Expires says.
type Cache struct {
	// Largest body of an answer that is kept.
	MaxBody Size `yaml:"max_body" min:"1B"`
	// How long an answer with status 200, 203, 301 or 308 is fresh that does not say so itself; 0s asks the upstream each time whether it has
	// changed.
	TTL time.Duration `yaml:"ttl"`
	// How long answers of other statuses are fresh that do not say so themselves, as in 404: 10s.
	Status map[string]time.Duration `yaml:"status"`
	// How long after that an answer is still given while a new one is fetched; what the answer says comes first.
	StaleWhileRevalidate time.Duration `yaml:"stale_while_revalidate"`
	// How long after that an answer is given when the upstream fails or answers 500, 502, 503 or 504; what the answer says comes first.
	StaleIfError time.Duration `yaml:"stale_if_error"`
	// Parameters of the query that are part of the key, a * at the end for any rest; empty is all.
	QueryOnly []string `yaml:"query_only"`
	// Parameters of the query that are not part of the key, as in utm_*. The upstream does not see them, nor those that query_only leaves out.
	QueryIgnore []string `yaml:"query_ignore"`
	// Headers of the request that are part of the key, beside those that Vary of the answer names.
	Headers []string `yaml:"headers"`
	// Cookies that are part of the key. The upstream sees the others too, and must say Vary or private if they matter.
	Cookies []string `yaml:"cookies"`
	// Headers that Vary of an answer may name, with * for any; an answer that names another is not kept.
	Vary []string `yaml:"vary"`
	// Header of an answer with the tags that it can be purged by, parted by commas or blanks.
	Tags string `yaml:"tags"`
	// Do not let clients ask for a fresh answer by Cache-Control or Pragma.
	IgnoreClient bool `yaml:"ignore_client"`
	// Make who asks part of the key: the identity, or Authorization if nobody here has verified it. Answers to them and answers that are
	// private are then kept, for them alone.
	Private bool `yaml:"private"`
	// Keep answers that set cookies, without the cookies.
	SetCookie bool `yaml:"set_cookie"`
	// How long a request waits for the answer to an equal one that is under way, instead of asking the upstream itself; 0s waits for none.
	Wait time.Duration `yaml:"wait" max:"5m"`
}

func (c *Cache) defaults() {
	*c = Cache{MaxBody: MiB, Vary: []string{"Accept", "Accept-Encoding", "Accept-Language", "Origin"}, Tags: "Cache-Tag", Wait: 5 * time.Second}
}
