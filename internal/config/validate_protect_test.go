package config

import "testing"

func TestHSTS(t *testing.T) {
	for text, want := range map[string]bool{
		"max-age=31536000; includeSubDomains": true, "max-age=0": true, `includeSubDomains; MAX-AGE = "5" ;preload`: true,
		"off": false, "max-age": false, "max-age=": false, "max-age=1y": false, "no-max-age=1": false, "max-age=1 includeSubDomains": false,
	} {
		if hstsPattern.MatchString(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
