package exchange

import (
	"bytes"
	"fmt"

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
	var err error
	if who.Claims, err = Claims(i.Claims, c); err != nil {
		r.Log().Debug("claims are left out", "user", who.User, "error", err)
	}
	return who
}

// Claims are claims as functions are told of them, "" where there are none. It is an error, and they are left out, if they are larger than max_claims,
// or no JSON that arguments could be.
func Claims(claims []byte, c *config.Server) (string, error) {
	claims = bytes.TrimSpace(claims)
	if len(claims) == 0 || claims[0] != '{' {
		return "", nil
	}
	if int64(len(claims)) > int64(c.MaxClaims) {
		return "", fmt.Errorf("they have %d bytes, server.max_claims is %d", len(claims), c.MaxClaims)
	}
	if err := strictjson.Check(claims, c.JSONDepth); err != nil {
		return "", err
	}
	return string(claims), nil
}
