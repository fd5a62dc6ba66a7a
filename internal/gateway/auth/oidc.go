package auth

import "github.com/headrace/headrace/internal/config"

func addOIDC(c *config.Auth, d Deps, p *policy) error { return nil }
