package config

import "net/netip"

// Prefixes are ranges of addresses.
type Prefixes []netip.Prefix

// Contains tells whether an address is in one of the ranges. One of IPv4 must not be mapped to IPv6.
func (list Prefixes) Contains(a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ParsePrefixes reads a list of ranges such as 10.0.0.0/8, or single addresses.
func ParsePrefixes(texts []string) (Prefixes, error) {
	var list Prefixes
	for _, text := range texts {
		p, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePrefix reads one; IPv4 that is mapped to IPv6 becomes IPv4, as which addresses are compared.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().Prefix(a.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() {
		p, err = p.Addr().Unmap().Prefix(max(0, p.Bits()-96))
	}
	return p.Masked(), err
}
