package config

import (
	"net/netip"
	"testing"
)

func TestPrefixes(t *testing.T) {
	list, err := ParsePrefixes([]string{"10.1.2.3/8", "192.0.2.7", "2001:db8::1/32", "::ffff:203.0.113.0/120", "::ffff:198.51.100.9"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"10.9.9.9": true, "11.0.0.1": false, "192.0.2.7": true, "192.0.2.8": false, "2001:db8:7::1": true, "2001:db9::1": false,
		"203.0.113.200": true, "203.0.114.1": false, "198.51.100.9": true} {
		if got := list.Contains(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if _, err := ParsePrefixes([]string{"10.0.0.0/33"}); err == nil {
		t.Error("33 bits are taken")
	}
}
