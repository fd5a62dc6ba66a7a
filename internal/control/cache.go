package control

import (
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/cache"
	"github.com/headrace/headrace/internal/problem"
)

// cacheStats tells what the cache of this node holds and how often it was of use.
func (s *Server) cacheStats(r *exchange.Request) error { return encode(r, s.Cache.Stats()) }

// purgeCache forgets answers, and tells how many those of this node were.
func (s *Server) purgeCache(r *exchange.Request) error {
	var asked cache.Purge
	if err := s.decode(r, "HR4072", &asked); err != nil {
		return err
	}
	if !asked.All && len(asked.Tags)+len(asked.Prefixes) == 0 {
		return problem.New("HR4072", "nothing is named that is to be purged").Hinting("give tags, prefixes, or all")
	}
	for _, prefix := range asked.Prefixes {
		if prefix == "" || prefix[0] != '/' {
			return problem.New("HR4072", "%.80q is not a path", prefix).At("/prefixes").Hinting("begin with /, as in /products")
		}
	}
	return encode(r, map[string]int{"purged": s.Cache.Purge(asked)})
}
