package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every section can be switched off.
func TestOffNamesSections(t *testing.T) {
	var sections, named []string
	for _, k := range keys(reflect.TypeFor[Policy]()) {
		if k.name == "off" {
			named = strings.Split(k.tag.Get("enum"), ",")
			continue
		}
		sections = append(sections, k.name)
	}
	slices.Sort(sections)
	slices.Sort(named)
	if !slices.Equal(sections, named) {
		t.Errorf("sections are %v, and off takes %v", sections, named)
	}
}

func TestPolicyOff(t *testing.T) {
	first, second := &Auth{Realm: "first"}, &Auth{Realm: "second"}
	c := &Config{Policies: map[string]*Policy{
		DefaultPolicy: {Auth: second, MaxBody: 1, Compress: &Compress{}},
		"own":         {Auth: first},
		"open":        {Off: []string{"auth"}},
		"plain":       {Off: []string{"compress", "max_body"}},
	}}
	for _, test := range []struct {
		route   Route
		auth    *Auth
		without []*Auth
		on, off string
	}{
		{Route{}, second, nil, "auth max_body compress", ""},
		{Route{Policy: Policy{Off: []string{"auth"}}}, nil, []*Auth{second}, "max_body compress", "auth"},
		{Route{Policies: []string{"open"}}, nil, []*Auth{second}, "max_body compress", "auth"},
		{Route{Policies: []string{"open", "own"}}, nil, []*Auth{first, second}, "max_body compress", "auth"},
		{Route{Policies: []string{"own", "open"}}, first, nil, "auth max_body compress", ""},
		{Route{Policies: []string{"open"}, Policy: Policy{Auth: first}}, first, nil, "auth max_body compress", ""},
		{Route{Policies: []string{"plain", "open"}}, nil, []*Auth{second}, "", "auth max_body compress"},
		{Route{Policies: []string{"plain"}, Policy: Policy{MaxBody: 2}}, second, nil, "auth max_body", "compress"},
	} {
		for range 2 { // what is put together changes nothing that it is made of
			p := c.PolicyOf(&test.route)
			on, off := p.Sections()
			if p.Auth != test.auth || !slices.Equal(p.Without, test.without) || strings.Join(on, " ") != test.on || strings.Join(off, " ") != test.off {
				t.Errorf("%+v: auth %v without %v, on %v, off %v", test.route, p.Auth, p.Without, on, off)
			}
		}
	}
	if p := c.PolicyNamed("open"); p.Auth != nil || p.MaxBody != 1 {
		t.Error(p)
	}
}
