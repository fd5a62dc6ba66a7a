package exchange

import (
	"bytes"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/identity"
)

// Caller is what functions are told of who asks. Claims that are larger than max_claims, or no JSON that arguments could be, are left out.
func (r *Request) Caller(c *config.Server) identity.Caller {
	i := r.Identity
	if i == nil {
		return identity.Caller{}
	}
	who := identity.Caller{User: i.Subject, Method: i.Method}
	claims := bytes.TrimSpace(i.Claims)
	if len(claims) == 0 || claims[0] != '{' {
		return who
	}
	if int64(len(claims)) > int64(c.MaxClaims) {
		r.Log().Debug("claims are larger than server.max_claims, and left out", "user", who.User, "bytes", len(claims), "limit", c.MaxClaims)
	} else if err := strictjson.Check(claims, c.JSONDepth); err != nil {
		r.Log().Debug("claims are left out", "user", who.User, "error", err)
	} else {
		who.Claims = string(claims)
	}
	return who
}
