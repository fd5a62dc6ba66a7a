package openapi

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzParameter reads texts as every parameter of the document: whatever comes must be a value that the schema can be asked about.
func FuzzParameter(f *testing.F) {
	f.Add("limit=5&state=open&filter[min]=1&ids=1,2", "/matrix/;list=1/.a,1", "2")
	f.Add("filter[=&filter[]=&json={", "/files/..", "")
	d, err := open("testdata/orders.yaml")
	if err != nil {
		f.Fatal(err)
	}
	defer d.close()
	table, err := d.compile()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query, path, header string) {
		var pairs []pair
		values, _ := url.ParseQuery(query)
		for name, texts := range values {
			for _, text := range texts {
				pairs = append(pairs, pair{name, text})
			}
		}
		at, found := table.find(path)
		if at == nil {
			at = table.exact["/orders"]
		}
		for _, v := range found {
			if v.value == "" || strings.Contains(v.value, "/") {
				t.Fatalf("%q: %v", path, found)
			}
		}
		for _, o := range at.operations {
			for _, p := range o.parameters {
				for _, texts := range [][]string{nil, values[p.name], {header}} {
					for _, v := range p.read(texts, pairs) {
						_ = p.check([]any{v})
					}
				}
			}
			if o.body != nil {
				for _, m := range o.body.media {
					if m.schema != nil {
						_ = m.check([]byte(query), form)
						_ = m.check([]byte(header), "application/json")
					}
				}
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	d, err := open("testdata/orders.yaml")
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	table, err := d.compile()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("path", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if at, _ := table.find("/orders/7"); at == nil {
				b.Fatal()
			}
		}
	})
	b.Run("body", func(b *testing.B) {
		b.ReportAllocs()
		at, _ := table.find("/orders")
		m := at.operations["POST"].body.find("application/json")
		for b.Loop() {
			if err := m.check([]byte(good), "application/json"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
