package docs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/headrace/headrace/spec"
)

const httpIntro = `# HTTP: the admin API

` + "The admin API listens on `admin.listen` (`127.0.0.1:8081`). It answers without a token as long as that is a loopback address and `admin.token_file`\n" +
	"is not set; otherwise send `Authorization: Bearer TOKEN`. A running server hands out the document of this page at `GET /openapi.yaml`\n" +
	"([spec/openapi](../../spec/openapi)). Failures are described in [errors](errors.md), the options of jobs in [enqueue options](enqueue.md), the\n" +
	"pages of the public listener in [routes](routes.md).\n\n"

// api is the part of an OpenAPI document that this page shows.
type api struct {
	Paths      map[string]path `yaml:"paths"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Responses  map[string]response  `yaml:"responses"`
		Bodies     map[string]body      `yaml:"requestBodies"`
	} `yaml:"components"`
}

type path struct {
	Get        *operation  `yaml:"get"`
	Head       *operation  `yaml:"head"`
	Put        *operation  `yaml:"put"`
	Post       *operation  `yaml:"post"`
	Delete     *operation  `yaml:"delete"`
	Parameters []parameter `yaml:"parameters"`
}

type operation struct {
	Summary     string              `yaml:"summary"`
	Description string              `yaml:"description"`
	Parameters  []parameter         `yaml:"parameters"`
	Body        *body               `yaml:"requestBody"`
	Responses   map[string]response `yaml:"responses"`
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Required    bool   `yaml:"required"`
	Description string `yaml:"description"`
}

type body struct {
	Ref         string         `yaml:"$ref"`
	Description string         `yaml:"description"`
	Content     map[string]any `yaml:"content"`
}

type response struct {
	Ref         string         `yaml:"$ref"`
	Description string         `yaml:"description"`
	Content     map[string]any `yaml:"content"`
}

// httpAPI lists every operation of the admin API in the order of the document.
func httpAPI() (string, error) {
	var doc api
	if err := yaml.Unmarshal(spec.OpenAPI(), &doc); err != nil {
		return "", fmt.Errorf("spec/openapi: %w", err)
	}
	var order struct {
		Paths yaml.MapSlice `yaml:"paths"`
	}
	if err := yaml.Unmarshal(spec.OpenAPI(), &order); err != nil {
		return "", fmt.Errorf("spec/openapi: %w", err)
	}
	var summary, detail strings.Builder
	summary.WriteString("| | |\n|---|---|\n")
	for _, item := range order.Paths {
		name := fmt.Sprint(item.Key)
		p := doc.Paths[name]
		for _, o := range []struct {
			method string
			*operation
		}{{"GET", p.Get}, {"HEAD", p.Head}, {"PUT", p.Put}, {"POST", p.Post}, {"DELETE", p.Delete}} {
			if o.operation == nil {
				continue
			}
			title := o.method + " " + name
			fmt.Fprintf(&summary, "| [`%s`](#%s) | %s |\n", title, Anchor(title), cell(o.Summary))
			doc.write(&detail, title, p, o.operation)
		}
	}
	return httpIntro + summary.String() + detail.String(), nil
}

func (a *api) write(b *strings.Builder, title string, p path, o *operation) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", title, strings.TrimSpace(o.Summary))
	if o.Description != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(o.Description))
	}
	if parameters := append(append([]parameter{}, p.Parameters...), o.Parameters...); len(parameters) > 0 {
		b.WriteString("\n| parameter | in | meaning |\n|---|---|---|\n")
		for _, one := range parameters {
			if one.Ref != "" {
				one = a.Components.Parameters[last(one.Ref)]
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", one.Name, one.In, cell(one.Description))
		}
	}
	if request := o.Body; request != nil {
		if request.Ref != "" {
			found := a.Components.Bodies[last(request.Ref)]
			request = &found
		}
		fmt.Fprintf(b, "\nBody: %s%s\n", media(request.Content), sentence(request.Description))
	}
	if len(o.Responses) > 0 {
		b.WriteString("\n| answer | |\n|---|---|\n")
		for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
			answer := o.Responses[status]
			if answer.Ref != "" {
				answer = a.Components.Responses[last(answer.Ref)]
			}
			content := ""
			if len(answer.Content) > 0 {
				content = " (" + media(answer.Content) + ")"
			}
			fmt.Fprintf(b, "| %s | %s%s |\n", status, cell(answer.Description), content)
		}
	}
}

func last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return ". " + cell(text)
}

func media(content map[string]any) string {
	names := slices.Sorted(maps.Keys(content))
	for i, name := range names {
		names[i] = "`" + name + "`"
	}
	return strings.Join(names, ", ")
}

// Anchor is the name that a heading gets on a page.
func Anchor(heading string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(heading) {
		switch {
		case c == ' ':
			b.WriteByte('-')
		case c == '-' || c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c > 127:
			b.WriteRune(c)
		}
	}
	return b.String()
}
