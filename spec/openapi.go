package spec

import (
	"embed"
	"strings"
	"sync"
)

//go:embed openapi
var parts embed.FS

// OpenAPI describes the admin API: the files of openapi as one document. The result must not be changed.
var OpenAPI = sync.OnceValue(func() []byte {
	const paths, components, schemas = "\npaths:\n", "\ncomponents:\n", "  schemas:\n"
	head, common, _ := strings.Cut(part("api"), components)
	var p, s strings.Builder
	for _, name := range []string{"jobs", "calls", "operate", "gateway", "cache", "keys", "live", "centrifugo", "observe"} {
		of, below, _ := strings.Cut(part(name), components)
		_, of, _ = strings.Cut("\n"+of, paths)
		p.WriteString(of + "\n")
		s.WriteString(strings.TrimPrefix(below, schemas))
	}
	return []byte(head + paths + p.String() + components[1:] + common + s.String())
})

func part(name string) string {
	text, err := parts.ReadFile("openapi/" + name + ".yaml")
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}
