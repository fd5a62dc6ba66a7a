package exchange

import (
	"encoding/json"
	"mime"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// Enqueueable refuses what would be refused anyway, before a body is read: HR2011 for a call, HR2006 for a full queue, HR5001 or
// HR5002 if nothing new is taken. queue is the one that the request names, if it does.
func (p *Planes) Enqueueable(fn *functions.Function, queue string) error {
	if fn.Kind == functions.Call {
		return problem.New("HR2011", "%s is a call", fn.Name).At(fn.Name).Hinting("POST /v1/calls/%s", fn.Name)
	}
	if err := p.Engine.Admit(); err != nil {
		return err
	}
	if queue == "" {
		queue = fn.Options.Queue
	}
	if queue == "" {
		queue = "default"
	}
	return p.Jobs.Full(queue)
}

// Result answers with the result of a job as it is.
func (p *Planes) Result(r *Request, id jobs.ID) error {
	result, err := p.Jobs.Result(r.Running(), id)
	if err != nil {
		return err
	}
	r.JSON(200, result)
	return nil
}

// Blob answers with the content of a blob. Without a media type it is bytes.
func (p *Planes) Blob(r *Request, digest blob.Digest, meta blob.Meta, attach bool) error {
	file, info, err := p.Engine.Blobs().Open(digest)
	if err != nil {
		return err
	}
	f := File{File: file, Size: info.Size, Tag: strconv.Quote(string(digest)), Media: "application/octet-stream"}
	if media, _, err := mime.ParseMediaType(meta.Type); err == nil {
		f.Media = media
	}
	if attach {
		if f.Name = meta.Name; f.Name == "" {
			f.Name = strings.TrimPrefix(string(digest), "sha256:")[:12]
		}
	}
	// A blob is what somebody uploaded: a browser must not take it for a page of this site. A PDF is none, and is not shown in a sandbox.
	r.Response.Header.Set("X-Content-Type-Options", "nosniff")
	if f.Media != "application/pdf" {
		r.Response.Header.Set("Content-Security-Policy", "sandbox")
	}
	return r.File(f)
}

// TopBlob is the blob that a result is, if it is one and nothing else.
func TopBlob(result []byte) (blob.Digest, blob.Meta, bool) {
	var ref struct {
		Digest string `json:"$blob"`
		Type   string `json:"type"`
		Name   string `json:"name"`
	}
	if json.Unmarshal(result, &ref) != nil {
		return "", blob.Meta{}, false
	}
	digest, err := blob.ParseDigest(ref.Digest)
	return digest, blob.Meta{Type: ref.Type, Name: ref.Name}, err == nil
}
