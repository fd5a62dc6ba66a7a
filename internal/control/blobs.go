package control

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

func (s *Server) admitBlob(r *exchange.Request) error {
	if err := s.fitsBlob(r); err != nil {
		return err
	}
	return s.Engine.Admit()
}

// putBlob answers PUT /v1/blobs: the body is the content.
func (s *Server) putBlob(r *exchange.Request) error {
	meta := blob.Meta{Type: r.Media(), Name: string(r.QueryArgs().Peek("name"))}
	for name := range r.QueryArgs().All() {
		if n := string(name); n != "name" && n != "digest" {
			return problem.New("HR2004", "a blob has no option %.40q", n).At(n).Hinting("the options are name and digest")
		}
	}
	var err error
	if meta.Digest, err = announced(r); err != nil {
		return err
	}
	ref, err := s.Engine.Blobs().Put(context.Background(), r.Stream(int64(s.Config.Admin.MaxBody)), meta, 0)
	if err != nil {
		return err
	}
	r.Response.Header.Set("Location", "/v1/blobs/"+string(ref.Digest))
	if err := encode(r, ref); err != nil {
		return err
	}
	r.SetStatusCode(fasthttp.StatusCreated)
	return nil
}

// announced is the digest in ?digest=sha256:HEX, Repr-Digest: sha-256=:BASE64: or Digest: sha-256=BASE64; empty if there is none. A
// SHA-256 that cannot be read is HR5007; other algorithms are left alone.
func announced(r *exchange.Request) (blob.Digest, error) {
	if text := r.QueryArgs().Peek("digest"); len(text) > 0 {
		d, err := blob.ParseDigest(string(text))
		if err != nil {
			return "", problem.New("HR5007", "%s", problem.From(err).What).At("digest").Hinting("write sha256: and 64 hexadecimal digits in lower case")
		}
		return d, nil
	}
	for _, header := range []string{"Repr-Digest", "Content-Digest", "Digest"} {
		for field := range strings.SplitSeq(string(r.Request.Header.Peek(header)), ",") {
			algorithm, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			if !strings.EqualFold(algorithm, "sha-256") {
				continue
			}
			sum, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
			if err != nil || len(sum) != 32 {
				return "", problem.New("HR5007", "%.80q is no SHA-256 in base64", value).At(header).Hinting("write %s: sha-256=:BASE64:", header)
			}
			return blob.Digest("sha256:" + hex.EncodeToString(sum)), nil
		}
	}
	return "", nil
}

// blob answers GET and HEAD /v1/blobs/{digest}.
func (s *Server) blob(r *exchange.Request) error {
	digest, err := blob.ParseDigest(string(r.Params[0]))
	if err != nil {
		return err
	}
	meta := blob.Meta{Type: string(r.QueryArgs().Peek("type")), Name: string(r.QueryArgs().Peek("name"))}
	return s.planes.Blob(r, digest, meta, meta.Name != "")
}
