package identity

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
)

// Claims are what a verified token says.
type Claims struct {
	Subject  string    // claim sub; "" without one
	Expires  time.Time // claim exp; zero without one: the token never expires
	IssuedAt time.Time // claim iat; zero without one
	Raw      []byte    // JSON object of all claims, as it was signed

	notBefore time.Time
}

// Decode unmarshals all claims.
func (c *Claims) Decode(into any) error { return json.Unmarshal(c.Raw, into) }

func parseClaims(raw []byte, o *Options) (*Claims, error) {
	c := &Claims{Raw: raw}
	issuer, audience := o.Issuer == "", o.Audience == ""
	err := members(raw, func(name string, value []byte) (err error) {
		switch name {
		case "sub":
			c.Subject, err = text(value)
		case "exp":
			c.Expires, err = date(name, value)
		case "iat":
			c.IssuedAt, err = date(name, value)
		case "nbf":
			c.notBefore, err = date(name, value)
		case "iss":
			if !issuer {
				var got string
				got, err = text(value)
				issuer = got == o.Issuer
			}
		case "aud":
			if !audience {
				audience = includes(value, o.Audience)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !issuer:
		return nil, invalid("it is of another issuer")
	case !audience:
		return nil, invalid("it is for another audience")
	}
	return c, nil
}

// lastSecond is the last second of the year 9999. What is later was meant in milliseconds.
const lastSecond = 253402300799

// date reads a NumericDate: seconds since 1970, with or without a fraction.
func date(name string, value []byte) (time.Time, error) {
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n >= 0 && n <= lastSecond {
		return time.Unix(n, 0), nil
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f < 0 || f > lastSecond {
		return time.Time{}, invalid("%s is not a time in seconds", name)
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// includes tells whether the claim aud is, or holds, the audience.
func includes(value []byte, audience string) bool {
	if value[0] == '"' {
		got, err := text(value)
		return err == nil && got == audience
	}
	var list []string
	return json.Unmarshal(value, &list) == nil && slices.Contains(list, audience)
}

func (c *Claims) inTime(now time.Time, leeway time.Duration) error {
	if !c.notBefore.IsZero() && now.Before(c.notBefore.Add(-leeway)) {
		return invalid("it is not valid yet")
	}
	if c.expired(now, leeway) {
		return ErrExpired
	}
	return nil
}

func (c *Claims) expired(now time.Time, leeway time.Duration) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires.Add(leeway))
}
