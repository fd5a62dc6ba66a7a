package config

import "strings"

func (c *Config) validateOpenAPI(at string, x *OpenAPI) error {
	if x.Base != "" && (x.Base[0] != '/' || strings.ContainsAny(x.Base, "?#{} ") || strings.Contains(x.Base, "//")) {
		return c.invalid(at+".base", "%q is not a path", x.Base).Hinting("write it as in /api")
	}
	return nil
}
