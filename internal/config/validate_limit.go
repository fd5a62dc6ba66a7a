package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// longestLimit is the longest time that a limit may need to refill.
const longestLimit = 366 * 24 * time.Hour

// validateLimits checks the rates of a policy, and that those with a name are what they are elsewhere.
func (c *Config) validateLimits(at string, list []Limit) error {
	for i := range list {
		l, at := &list[i], fmt.Sprintf("%s.limits[%d]", at, i)
		if l.Rate.N == 0 {
			return c.invalid(at, "it has no rate").Hinting("set rate, as in 100/s")
		}
		if err := c.validateBy(at+".by", l.By); err != nil {
			return err
		}
		if l.Name != "" && !namePattern.MatchString(l.Name) {
			return c.invalid(at+".name", "%q is not a name", l.Name).Hinting("write a lower case letter, then letters, digits, - or _, at most 63 in all")
		}
		if l.Algorithm == "sliding_window" {
			if l.Burst != 0 {
				return c.invalid(at+".burst", "a sliding window has no burst").Hinting("remove burst, or algorithm")
			}
			if l.Shared {
				return c.invalid(at+".shared", "a sliding window is not shared").Hinting("remove algorithm: a token bucket is shared, and so exact on one node")
			}
		}
		burst := max(l.Burst, l.Rate.N)
		if l.Rate.Per > longestLimit || float64(burst)*float64(l.Rate.Per)/float64(l.Rate.N) > float64(longestLimit) {
			return c.invalid(at+".rate", "the limit needs more than a year to refill").Hinting("shorten the time, or lower burst")
		}
		for _, method := range l.Methods {
			if !methodPattern.MatchString(method) {
				return c.invalid(at+".methods", "%q is not an HTTP method", method).Hinting("write %s", strings.ToUpper(method))
			}
		}
		if l.Name == "" {
			continue
		}
		if place := c.unlike(l); place != "" {
			return c.invalid(at+".name", "%s is another limit of the name %s", place, l.Name).
				Hinting("give both the same rate, burst, algorithm, by and shared, or another name")
		}
	}
	return nil
}

func (c *Config) validateBy(at, by string) error {
	for part := range strings.SplitSeq(by, "+") {
		kind, name, named := strings.Cut(part, ":")
		switch {
		case slices.Contains([]string{"address", "subject", "key", "route", "all"}, part):
		case kind == "claim" && name != "", kind == "header" && headerPattern.MatchString(name):
		case named && (kind == "claim" || kind == "header"):
			return c.invalid(at, "%q names no %s", part, kind).Hinting("write it as in header:X-Tenant or claim:org")
		default:
			return c.invalid(at, "%q is nothing to count by", part).
				Hinting("write address, subject, key, claim:NAME, header:NAME, route or all, or several joined by +")
		}
	}
	return nil
}

// unlike is the place of the first limit with the name of l that counts otherwise; "" if there is none.
func (c *Config) unlike(l *Limit) string {
	find := func(at string, list []Limit) string {
		for i := range list {
			o := &list[i]
			if o.Name == l.Name && (o.Rate != l.Rate || o.Burst != l.Burst || o.Algorithm != l.Algorithm || o.By != l.By || o.Shared != l.Shared) {
				return fmt.Sprintf("%s.limits[%d]", at, i)
			}
		}
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if place := find("policies."+name, c.Policies[name].Limits); place != "" {
			return place
		}
	}
	for i := range c.Routes {
		if place := find(fmt.Sprintf("routes[%d]", i), c.Routes[i].Limits); place != "" {
			return place
		}
	}
	if c.Live != nil {
		return find("live", c.Live.Limits)
	}
	return ""
}
