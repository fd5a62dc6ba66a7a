package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/headrace/headrace/internal/engine/blob"
)

// Argument returns one argument as text, its default if it is not given: a string as it is, null as nothing, anything else as JSON. It is how an
// argument names a concurrency key.
func (f *Function) Argument(args []byte, name string) (string, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(args, &all); err != nil {
		return "", err
	}
	raw, ok := all[name]
	if !ok {
		raw, ok = f.defaults[name]
	}
	if !ok {
		return "", fmt.Errorf("argument %s names the key, is not given, and its default has no JSON", name)
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, nil
	}
	return string(Canonical(raw)), nil
}

// Whole are the arguments together with the defaults of those that are not given, in canonical form: equal calls are equal bytes.
func (f *Function) Whole(args []byte) []byte {
	if len(f.defaults) == 0 {
		return Canonical(args)
	}
	all := maps.Clone(f.defaults)
	if json.Unmarshal(args, &all) != nil {
		return args
	}
	whole, err := json.Marshal(all)
	if err != nil {
		return args
	}
	return Canonical(whole)
}

// Canonical is JSON with sorted keys and without spaces, so that equal documents are equal bytes. What is not JSON is returned as it is.
func Canonical(doc []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return doc
	}
	out, err := json.Marshal(v)
	if err != nil {
		return doc
	}
	return out
}

// Locate adds to each blob among the arguments the path of its file, for a worker that reads it. A blob that is not there is HR5006.
func (f *Function) Locate(args []byte, blobs *blob.Store) ([]byte, error) {
	if len(f.Blobs) == 0 || !bytes.Contains(args, []byte(`"$blob"`)) {
		return args, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(args, &all); err != nil {
		return nil, err
	}
	for _, name := range f.Blobs {
		raw, ok := all[name]
		if !ok {
			continue
		}
		located, err := locate(raw, blobs)
		if err != nil {
			return nil, err
		}
		all[name] = located
	}
	return json.Marshal(all)
}

// locate handles one blob, a list of blobs, or null.
func locate(raw json.RawMessage, blobs *blob.Store) (json.RawMessage, error) {
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "[") {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		for i := range list {
			var err error
			if list[i], err = locate(list[i], blobs); err != nil {
				return nil, err
			}
		}
		return json.Marshal(list)
	}
	var ref map[string]any
	if err := json.Unmarshal(raw, &ref); err != nil || ref == nil {
		return raw, err
	}
	text, _ := ref["$blob"].(string)
	digest, err := blob.ParseDigest(text)
	if err != nil {
		return nil, err
	}
	info, err := blobs.Stat(digest)
	if err != nil {
		return nil, err
	}
	path, err := blobs.Path(digest)
	if err != nil {
		return nil, err
	}
	ref["path"], ref["size"] = path, info.Size
	return json.Marshal(ref)
}
