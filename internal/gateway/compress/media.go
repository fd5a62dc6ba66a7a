package compress

import "strings"

// compressible are the media types without a list of their own.
var compressible = []string{
	"text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "image/svg+xml", "application/javascript",
	"application/ecmascript", "application/x-javascript", "application/x-ndjson", "application/jsonl", "application/json-seq", "application/yaml",
	"application/toml", "application/graphql", "application/wasm", "application/rtf", "application/vnd.ms-fontobject", "application/x-protobuf",
	"font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon", "model/*", "message/*",
}

// events are server-sent events. A star does not stand for them: an encoder would hold its memory for as long as somebody listens.
const events = "text/event-stream"

// media are types of bodies.
type media struct {
	whole map[string]struct{}
	parts []part
}

// part is a type with a star: what stands before and after it.
type part struct{ before, after string }

func newMedia(list []string) *media {
	if len(list) == 0 {
		list = compressible
	}
	m := &media{whole: map[string]struct{}{}}
	for _, text := range list {
		switch before, after, star := strings.Cut(text, "*"); {
		case text == "*/*":
			m.parts = append(m.parts, part{})
		case star:
			m.parts = append(m.parts, part{before, after})
		default:
			m.whole[text] = struct{}{}
		}
	}
	return m
}

// has tells whether a Content-Type is one of them. None is in no list.
func (m *media) has(contentType []byte) bool {
	name, _ := cut(contentType, ';')
	name = trim(name)
	if len(name) == 0 {
		return false
	}
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			name = []byte(strings.ToLower(string(name)))
			break
		}
	}
	if _, ok := m.whole[string(name)]; ok {
		return true
	}
	if string(name) == events {
		return false
	}
	for _, p := range m.parts {
		if len(name) > len(p.before)+len(p.after) && string(name[:len(p.before)]) == p.before && string(name[len(name)-len(p.after):]) == p.after {
			return true
		}
	}
	return false
}
