package exchange

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strconv"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
)

// mostParts bounds the fields and files of one form.
const mostParts = 1000

// form reads multipart/form-data. A file goes to the disk as it comes and is never in memory; fields are bounded by server.max_json.
func (p *Planes) form(r *Request, fn *functions.Function, limit int64) ([]byte, error) {
	if err := r.Fits(limit); err != nil {
		return nil, err
	}
	_, params, err := mime.ParseMediaType(string(r.Request.Header.ContentType()))
	if err != nil || params["boundary"] == "" || len(params["boundary"]) > 70 {
		return nil, problem.New("HR1007", "the content type names no boundary")
	}
	shape, err := NewShape(fn.Args)
	if err != nil {
		return nil, err
	}
	f := &form{planes: p, request: r, fn: fn, shape: shape, left: int64(p.Config.Server.MaxJSON), fields: map[string][]string{}, files: map[string][]blob.Ref{}}
	parts := multipart.NewReader(r.Stream(limit), params["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && n == mostParts {
			err = problem.New("HR1007", "the form has more than %d parts", mostParts)
		}
		if err == nil {
			err = f.take(part)
		}
		if err != nil {
			return nil, malformed(err)
		}
	}
	args := f.args()
	return args, p.Hold(fn, args)
}

// malformed keeps problems and calls the rest a bad form. A body that is cut is a problem of the body.
func malformed(err error) error {
	var p *problem.Error
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.New("HR1007", "the form ends without its closing boundary")
	}
	return problem.New("HR1007", "%w", err)
}

type form struct {
	planes  *Planes
	request *Request
	fn      *functions.Function
	shape   Shape
	left    int64 // bytes that fields may still have
	names   []string
	fields  map[string][]string
	files   map[string][]blob.Ref
}

func (f *form) take(part *multipart.Part) error {
	name := part.FormName()
	if name == "" {
		return problem.New("HR1007", "a part has no name")
	}
	if f.fields[name] == nil && f.files[name] == nil {
		f.names = append(f.names, name)
	}
	if encoding := part.Header.Get("Content-Transfer-Encoding"); encoding != "" && encoding != "binary" && encoding != "8bit" && encoding != "7bit" {
		return problem.New("HR1007", "field %s is encoded as %.40q", name, encoding)
	}
	_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if _, isFile := params["filename"]; isFile {
		if !f.fn.TakesBlob(name) {
			return problem.New("HR2002", "%s: %s is a file, and no such parameter is a blob", f.fn.Name, name).At("/args/" + name)
		}
		media, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			media = "application/octet-stream"
		}
		ref, err := f.planes.Engine.Blobs().Put(context.Background(), part, blob.Meta{Type: media, Name: part.FileName()}, 0)
		f.files[name] = append(f.files[name], ref)
		return err
	}
	text, err := io.ReadAll(io.LimitReader(part, f.left+1))
	if err != nil {
		return err
	}
	if f.left -= int64(len(text)); f.left < 0 {
		return problem.New("HR1003", "the fields of the form are larger than %s", f.planes.Config.Server.MaxJSON).
			Hinting("send large values as files, or raise server.max_json")
	}
	f.fields[name] = append(f.fields[name], string(text))
	return nil
}

// args joins fields and files into one JSON object.
func (f *form) args() []byte {
	b := []byte{'{'}
	for i, name := range f.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strictjson.AppendText(b, name), ':')
		files, texts := f.files[name], f.fields[name]
		many := f.shape[name].array
		switch {
		case len(files) > 0 && !many && len(texts) == 0:
			b = appendRef(b, files[len(files)-1])
		case len(files) > 0:
			b = append(b, '[')
			for i, ref := range files {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendRef(b, ref)
			}
			b = append(b, ']')
		default:
			b = f.shape.Append(b, name, texts, f.planes.Config.Server.JSONDepth)
		}
	}
	return append(b, '}')
}

// appendRef writes a blob as an argument.
func appendRef(b []byte, ref blob.Ref) []byte {
	b = append(append(append(b, `{"$blob":"`...), ref.Digest...), `","size":`...)
	b = strconv.AppendInt(b, ref.Size, 10)
	if ref.Type != "" {
		b = strictjson.AppendText(append(b, `,"type":`...), ref.Type)
	}
	if ref.Name != "" {
		b = strictjson.AppendText(append(b, `,"name":`...), ref.Name)
	}
	return append(b, '}')
}
