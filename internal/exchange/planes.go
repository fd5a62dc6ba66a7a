package exchange

import (
	"bytes"
	"encoding/json"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// Planes is what a door hands requests to.
type Planes struct {
	Jobs      *jobs.Jobs
	Functions *functions.Registry
	Engine    *engine.Engine
	Config    *config.Config
	Public    bool // anybody may ask: tracebacks of functions go to the log instead of the answer
}

// Arguments reads the body of a request as the arguments of a function: JSON, or a form whose files become blobs. They are a copy,
// checked JSON, and not yet validated against the signature. An empty body is no arguments. fileLimit is for the whole body of a form.
func (p *Planes) Arguments(r *Request, fn *functions.Function, fileLimit int64) ([]byte, error) {
	if r.Media() == "multipart/form-data" {
		return p.form(r, fn, fileLimit)
	}
	if !r.IsJSON() {
		return nil, problem.New("HR1008", "the body is %.80q", r.Media())
	}
	body, err := r.Body(int64(p.Config.Server.MaxJSON))
	if err != nil {
		return nil, err
	}
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return []byte("{}"), nil
	}
	if err := strictjson.Check(body, p.Config.Server.JSONDepth); err != nil {
		return nil, err
	}
	if body[0] != '{' {
		return nil, problem.New("HR2002", "%s: the arguments must be a JSON object", fn.Name).At("/args")
	}
	return body, p.Hold(fn, body)
}

// Hold makes sure that the blobs among the arguments are there, and stay there until the job that uses them is known: HR5006 if not.
func (p *Planes) Hold(fn *functions.Function, args []byte) error {
	if len(fn.Blobs) == 0 || !bytes.Contains(args, []byte("$blob")) {
		return nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(args, &all); err != nil {
		return problem.New("HR2001", "arguments of %s: %w", fn.Name, err)
	}
	for _, name := range fn.Blobs {
		for digest := range Digests(all[name]) {
			if _, err := p.Engine.Blobs().Touch(digest); err != nil {
				e := problem.From(err)
				return problem.New(e.Code, "%s: %s", fn.Name, e.What).At("/args/" + name)
			}
		}
	}
	return nil
}

// Digests are the blobs that a document refers to, with what it says of them.
func Digests(doc []byte) map[blob.Digest]blob.Meta {
	if !bytes.Contains(doc, []byte("$blob")) {
		return nil
	}
	var value any
	if err := json.Unmarshal(doc, &value); err != nil {
		return nil
	}
	found := map[blob.Digest]blob.Meta{}
	collect(value, found)
	return found
}

func collect(value any, found map[blob.Digest]blob.Meta) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			collect(item, found)
		}
	case map[string]any:
		text, _ := value["$blob"].(string)
		if digest, err := blob.ParseDigest(text); err == nil {
			media, _ := value["type"].(string)
			name, _ := value["name"].(string)
			found[digest] = blob.Meta{Type: media, Name: name, Digest: digest}
		}
		for _, member := range value {
			collect(member, found)
		}
	}
}
