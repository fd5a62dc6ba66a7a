package edge

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

// What does not climb stays in the folder, however often somebody decodes it, takes backslashes for slashes and leaves out parameters and what stands
// at the end of a name; and what has nothing but names does not climb.
func FuzzClimbs(f *testing.F) {
	for _, path := range []string{
		"/app/orders/7", "/app/v1.2/?next=../x", "/..", "/a/%2e%2E/b", "/a/..%20/b", "/a%2f..%2fb", `/a\..\b`, "/a%5c..%5cb", "/%252e%252e/x", "/a/..;v=1/b", "/%c0%ae%c0%ae/x",
		"/%e0%80%ae./x", "/a%00/b", "/a%", "/%zz", "/a;b/..", "//a//../b", "/%3f/../x", "/J%C3%B6rg%20M", "/.env", "/.../x", "/a%3b/..%3b/b",
	} {
		f.Add([]byte(path))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		before := bytes.Clone(path)
		climbing := climbs(path)
		if !bytes.Equal(path, before) {
			t.Fatalf("%q is %q now", before, path)
		}
		sent, _, _ := strings.Cut(string(path), "?")
		if !climbing {
			for text, again := sent, true; again; {
				for segment := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '/' || c == '\\' }) {
					name, _, _ := strings.Cut(segment, ";")
					if name = strings.TrimRight(name, " "); name == "." || name == ".." || strings.ContainsAny(name, "\x00\r\n") {
						t.Fatalf("%q holds the segment %q", path, segment)
					}
				}
				plain, err := url.PathUnescape(text)
				again, text = err == nil && plain != text, plain
			}
		}
		if climbing && strings.Trim(sent, "/-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			t.Fatalf("%q climbs", path)
		}
	})
}
