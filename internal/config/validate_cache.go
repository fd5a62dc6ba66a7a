package config

import (
	"fmt"
	"strconv"
	"strings"
)

// validateCache checks how a policy keeps answers.
func (c *Config) validateCache(at string, x *Cache) error {
	if x == nil {
		return nil
	}
	if x.MaxBody > c.Gateway.CacheMemory/8 {
		return c.invalid(at+".max_body", "%s is more than an eighth of gateway.cache_memory, %s", x.MaxBody, c.Gateway.CacheMemory).
			Hinting("lower max_body, or raise gateway.cache_memory")
	}
	for status := range x.Status {
		if n, err := strconv.Atoi(status); err != nil || n < 200 || n > 599 || n == 206 || n == 304 {
			return c.invalid(at+".status", "%q is not a status that can be kept", status).Hinting("write a status such as 404, but not 206 or 304")
		}
	}
	for key, list := range map[string][]string{"query_only": x.QueryOnly, "query_ignore": x.QueryIgnore} {
		for i, name := range list {
			if strings.TrimSuffix(name, "*") == "" || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
				return c.invalid(fmt.Sprintf("%s.%s[%d]", at, key, i), "%q is not the name of a parameter", name).Hinting("write a name, or its beginning and *, as in utm_*")
			}
		}
	}
	lists := map[string][]string{"headers": x.Headers, "cookies": x.Cookies, "vary": x.Vary}
	for _, key := range []string{"headers", "cookies", "vary"} {
		for i, name := range lists[key] {
			if !headerPattern.MatchString(name) {
				return c.invalid(fmt.Sprintf("%s.%s[%d]", at, key, i), "%q is not a name", name).Hinting("write it as in Accept-Language")
			}
		}
	}
	if x.Tags != "" && !headerPattern.MatchString(x.Tags) {
		return c.invalid(at+".tags", "%q is not the name of a header", x.Tags).Hinting("write it as in Cache-Tag or Surrogate-Key")
	}
	return nil
}
