package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/problem"
)

// maxDocument is the largest file that is read, in bytes.
const maxDocument = 16 << 20

// document is a document with its schemas compiled on demand.
type document struct {
	place    string // for errors
	url      string
	root     map[string]any
	compiler *jsonschema.Compiler
	files    loader
}

// loader reads files of one folder and those below, and nothing else: documents refer to each other, not to the network.
type loader struct{ root *os.Root }

// Load implements jsonschema.URLLoader.
func (l loader) Load(address string) (any, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" {
		return nil, fmt.Errorf("%s is not a file beside the document", address)
	}
	return l.read(strings.TrimPrefix(filepath.FromSlash(u.Path), string(filepath.Separator)))
}

func (l loader) read(name string) (any, error) {
	f, err := l.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if n, err := b.ReadFrom(&limited{f, maxDocument + 1}); err != nil || n > maxDocument {
		return nil, errors.Join(err, fmt.Errorf("%s cannot be read, or is larger than %d bytes", name, maxDocument))
	}
	return parse(b.Bytes())
}

type limited struct {
	f    *os.File
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("it is larger than %d bytes", maxDocument)
	}
	n, err := l.f.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// parse reads JSON or YAML. Numbers keep all their digits in JSON.
func parse(text []byte) (v any, err error) {
	defer func() { // the YAML parser is known to panic on some malformed texts
		if cause := recover(); cause != nil {
			err = errors.New("malformed YAML")
		}
	}()
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return nil, err
		}
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// open reads a document: HR4095 if it is none of OpenAPI 3.1. It must be closed.
func open(path string) (*document, error) {
	d := &document{place: path}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, d.bad(err)
	}
	d.files = loader{root}
	v, err := d.files.read(filepath.Base(path))
	if err == nil {
		err = d.init(v, filepath.Base(path))
	}
	if err != nil {
		d.close()
		return nil, d.bad(err)
	}
	return d, nil
}

// bad is HR4095: the file, what is wrong in it, and the key that names it.
func (d *document) bad(err error) error {
	return problem.New("HR4095", "%s: %w", d.place, err).Of("openapi.document")
}

// close is for when nothing more is compiled.
func (d *document) close() { _ = d.files.root.Close() }

func (d *document) init(v any, name string) error {
	top, ok := v.(map[string]any)
	if !ok {
		return errors.New("it is no object")
	}
	switch version, _ := top["openapi"].(string); {
	case version == "3.1", strings.HasPrefix(version, "3.1."), strings.HasPrefix(version, "3.2."):
	case version != "":
		return fmt.Errorf("it is of OpenAPI %s, and 3.1 is needed: nullable and exclusiveMinimum mean something else there", version)
	default:
		return errors.New("it has no key openapi: 3.1.0")
	}
	d.root, d.url = top, "file:///"+url.PathEscape(name)
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	for _, f := range formats {
		d.compiler.RegisterFormat(f)
	}
	d.compiler.UseLoader(d.files)
	return d.compiler.AddResource(d.url, top)
}

// node is a place in the document, or in a file that it refers to.
type node struct {
	value   map[string]any
	pointer string // with the address before #
}

// follow goes where $ref of an object leads, and on.
func (d *document) follow(n node) (node, error) {
	for range 20 {
		if _, ok := n.value["$ref"].(string); !ok {
			return n, nil
		}
		var err error
		if n, err = d.hop(n); err != nil {
			return n, err
		}
	}
	return n, fmt.Errorf("%s leads in a circle", n.pointer)
}

// hop goes where $ref of an object leads.
func (d *document) hop(n node) (node, error) {
	ref, _ := n.value["$ref"].(string)
	base, err := url.Parse(n.pointer)
	if err != nil {
		return n, err
	}
	to, err := base.Parse(ref)
	if err != nil {
		return n, fmt.Errorf("$ref %q: %w", ref, err)
	}
	fragment := to.Fragment
	to.Fragment = ""
	var at any = d.root
	if to.String() != d.url {
		if at, err = d.files.Load(to.String()); err != nil {
			return n, fmt.Errorf("$ref %q: %w", ref, err)
		}
		_ = d.compiler.AddResource(to.String(), at) // or it is there already
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
		if token == "" {
			continue
		}
		object, _ := at.(map[string]any)
		below, ok := object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
		if !ok {
			return n, fmt.Errorf("$ref %q leads nowhere", ref)
		}
		at = below
	}
	value, ok := at.(map[string]any)
	if !ok {
		return n, fmt.Errorf("$ref %q leads to no object", ref)
	}
	return node{value, to.String() + "#" + fragment}, nil
}

// child is an object below one; ok is false if there is none.
func (d *document) child(n node, key string) (node, bool, error) {
	value, ok := n.value[key].(map[string]any)
	if !ok {
		return node{}, false, nil
	}
	below, err := d.follow(node{value, n.pointer + "/" + escape(key)})
	return below, true, err
}

// schema compiles what is at a key; nil if there is nothing.
func (d *document) schema(n node, key string) (*jsonschema.Schema, error) {
	if _, ok := n.value[key]; !ok {
		return nil, nil
	}
	s, err := d.compiler.Compile(pointer(n.pointer + "/" + escape(key)))
	if err != nil {
		return nil, fmt.Errorf("schema at %s: %w", n.pointer, err)
	}
	return s, nil
}

// pointer writes a JSON pointer as a fragment of a URL.
func pointer(text string) string {
	address, fragment, _ := strings.Cut(text, "#")
	u := url.URL{Fragment: fragment}
	return address + "#" + u.EscapedFragment()
}

func escape(token string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(token) }
