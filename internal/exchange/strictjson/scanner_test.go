package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/problem"
)

func TestCheck(t *testing.T) {
	for doc, want := range map[string]string{
		`{}`: "", ` [1, -0.5e+3, "a\u00e9\ud83d\ude00\n", true, false, null, {"a":{"a":[]}}] `: "",
		`"ä"`: "", `0`: "", `-1`: "", `1E5`: "",
		``: "HR2001 byte 0, 1:1", `{} {}`: "HR2001 byte 3, 1:4", "[1,\n 2,]": "HR2001 byte 7, 2:4", `[1 2]`: "HR2001 byte 3, 1:4",
		`{"a" 1}`: "HR2001 byte 5, 1:6", `{a:1}`: "HR2001 byte 1, 1:2", `{"a":1,}`: "HR2001 byte 7, 1:8", `01`: "HR2001 byte 1, 1:2",
		`1.`: "HR2001 byte 2, 1:3", `1e`: "HR2001 byte 2, 1:3", `-`: "HR2001 byte 1, 1:2", `tru`: "HR2001 byte 0, 1:1", `nul1`: "HR2001 byte 0, 1:1",
		`"a`: "HR2001 byte 2, 1:3", "\"\x01\"": "HR2001 byte 1, 1:2", `"\x"`: "HR2001 byte 1, 1:2", `"\u12g4"`: "HR2001 byte 1, 1:2",
		`"\ud83d"`: "HR2001 byte 1, 1:2", `"\ud83d\u0041"`: "HR2001 byte 1, 1:2", `"\ude00"`: "HR2001 byte 1, 1:2",
		"\"ä\xff\"": "HR2001 byte 3, 1:3", "\"\xc0\x80\"": "HR2001 byte 1, 1:2", "\"\xed\xa0\x80\"": "HR2001 byte 1, 1:2",
		`{"a":1,"a":2}`: "HR2001 byte 7, 1:8", `{"a":1,"\u0061":2}`: "HR2001 byte 7, 1:8", `{"x":{"b":1,"b":2}}`: "HR2001 byte 12, 1:13",
		`[[[[[]]]]]`: "", `[[[[[[]]]]]]`: "HR2010 byte 5, 1:6", `{"a":{"a":{"a":{"a":{"a":{}}}}}}`: "HR2010 byte 25, 1:26",
		"\uFEFF{}": "HR2001 byte 0, 1:1",
	} {
		err := strictjson.Check([]byte(doc), 5)
		got := ""
		var p *problem.Error
		if errors.As(err, &p) {
			got = p.Code + " " + p.Where
		}
		if got != want {
			t.Errorf("%s: %v, want %q", doc, err, want)
		}
	}
}

func TestManyKeys(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `"key%d":{"x":1,"y":2},`, i)
	}
	if err := strictjson.Check([]byte("{"+b.String()+`"last":1}`), 5); err != nil {
		t.Error(err)
	}
	for _, again := range []string{"key0", "key15", "key16", "key17", "key999"} {
		if err := strictjson.Check([]byte("{"+b.String()+`"`+again+`":1}`), 5); err == nil {
			t.Error(again, "was not found to be there twice")
		}
	}
}

func TestWalk(t *testing.T) {
	s := strictjson.New([]byte(`[{"a\n":[1,2],"b":"x\ty"},{}] `), 3)
	var got []string
	err := s.Array(func() error {
		return s.Object(func(key []byte) error {
			if string(key) == "b" {
				text, err := s.Text()
				got = append(got, string(key), string(text))
				return err
			}
			raw, err := s.Value()
			got = append(got, string(key), string(raw))
			return err
		})
	})
	if err == nil {
		err = s.End()
	}
	if want := []string{"a\n", "[1,2]", "b", "x\ty"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"x\u00e9\ud83d\ude00"],"b":null}`, `[[]]`, `"\ud800"`, `{"a":1,"a":1}`, "\xff", `1.`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if err := strictjson.Check(doc, 20); err == nil {
			// What is accepted, the standard library reads, and nothing was replaced on the way.
			var v any
			if err := json.Unmarshal(doc, &v); err != nil {
				t.Fatalf("%q: accepted, but %v", doc, err)
			}
		} else if json.Valid(doc) {
			// Refused although the grammar is right: only for these reasons.
			ok := false
			for _, reason := range []string{"twice", "UTF-8", "escape", "HR2010"} {
				ok = ok || strings.Contains(err.Error(), reason)
			}
			if !ok {
				t.Fatalf("%q: %v", doc, err)
			}
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("{}\n\n [1,\r\n2]\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		scan, lines := strictjson.New(text, 20), 0
		for line := scan.Line(); line != nil; line = scan.Line() {
			lines++
			from := line.Offset()
			_, err := line.Value()
			if err == nil {
				err = line.End()
			}
			// A line is read as it would be alone, and the next one begins behind it.
			alone, _, _ := bytes.Cut(text[from:], []byte("\n"))
			if want := strictjson.Check(alone, 20); (err == nil) != (want == nil) {
				t.Fatalf("%q: %v, alone %v", alone, err, want)
			}
			if scan.Offset() != from+len(alone) || line.Offset() > scan.Offset() {
				t.Fatalf("%q: read to %d, the line ends at %d of %d", text, line.Offset(), scan.Offset(), from+len(alone))
			}
		}
		want := 0
		for line := range bytes.Lines(text) {
			if len(bytes.Trim(line, " \t\r\n")) > 0 {
				want++
			}
		}
		if lines != want {
			t.Fatalf("%q: %d lines, want %d", text, lines, want)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\"\\ä\xff\u2028")
	f.Fuzz(func(t *testing.T, text string) {
		doc := strictjson.AppendText(nil, text)
		if again := strictjson.AppendText(nil, []byte(text)); !bytes.Equal(doc, again) {
			t.Fatalf("%s and %s", doc, again)
		}
		back, err := strictjson.New(doc, 1).Text()
		if err != nil || string(back) != strings.ToValidUTF8(text, "\uFFFD") && !strings.Contains(text, "\uFFFD") && len(back) < len(text) {
			t.Fatalf("%q became %q, %v", text, back, err)
		}
		var std string
		if err := json.Unmarshal(doc, &std); err != nil || std != string(back) {
			t.Fatalf("%q: %q and %q, %v", text, back, std, err)
		}
	})
}

// A batch as clients send it: 100 small jobs.
func batch() []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range 100 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"function":"noop","args":{"index":%d,"name":"a name","ratio":0.25}}`, i)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func BenchmarkSplit(b *testing.B) {
	doc := batch()
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		s, n := strictjson.New(doc, 64), 0
		err := s.Array(func() error {
			n++
			return s.Object(func([]byte) error { _, err := s.Value(); return err })
		})
		if err != nil || n != 100 {
			b.Fatal(err)
		}
	}
}

func BenchmarkStandardLibrary(b *testing.B) {
	doc := batch()
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		var items []struct {
			Function string          `json:"function"`
			Args     json.RawMessage `json:"args"`
		}
		if err := json.Unmarshal(doc, &items); err != nil || len(items) != 100 {
			b.Fatal(err)
		}
	}
}
