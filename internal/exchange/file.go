package exchange

import (
	"io"
	"mime"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/problem"
)

// File is a file to answer with.
type File struct {
	*os.File
	Size     int64
	Modified time.Time // zero: not told
	Tag      string    // entity tag with its quotes
	Media    string
	Name     string // for Content-Disposition: attachment; empty is shown in place
}

// File answers with a file and closes it: a range of it if the client asks for one, nothing if the client has it. On plain sockets the
// kernel sends it.
func (r *Request) File(f File) error {
	h := &r.Response.Header
	h.Set("ETag", f.Tag)
	h.Set("Accept-Ranges", "bytes")
	if !f.Modified.IsZero() {
		h.SetLastModified(f.Modified)
	}
	if f.Name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	}
	if r.Fresh(f.Tag, f.Modified) {
		_ = f.Close()
		r.Response.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	h.SetContentType(f.Media)
	from, length := int64(0), f.Size
	if asked := r.Request.Header.Peek("Range"); len(asked) > 0 && r.sameAs(f) {
		start, n, ok, satisfiable := ParseRange(string(asked), f.Size)
		if ok && !satisfiable {
			_ = f.Close()
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(f.Size, 10))
			return problem.New("HR1013", "%.80q of %d bytes", asked, f.Size)
		}
		if ok {
			from, length = start, n
			r.Response.SetStatusCode(fasthttp.StatusPartialContent)
			h.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(from+n-1, 10)+"/"+strconv.FormatInt(f.Size, 10))
		}
	}
	if r.IsHead() {
		_ = f.Close()
		r.Response.SkipBody = true
		h.SetContentLength(int(length))
		return nil
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		_ = f.Close()
		return problem.New("HR7004", "file: %w", err)
	}
	// The whole must be taken at a least rate, so that nobody holds a file open for ever.
	_ = r.SetWriteDeadline(time.Now().Add(r.server.options.IdleTimeout + time.Duration(length/minRate)*time.Second))
	r.Response.SetBodyStream(&section{file: f.File, rest: io.LimitedReader{R: f.File, N: length}}, int(length))
	return nil
}

// section is a part of a file in a form that fasthttp hands to sendfile.
type section struct {
	file *os.File
	rest io.LimitedReader
}

func (s *section) Read(p []byte) (int, error) { return s.rest.Read(p) }

func (s *section) WriteTo(w io.Writer) (int64, error) {
	if to, ok := w.(io.ReaderFrom); ok {
		return to.ReadFrom(&s.rest)
	}
	return io.Copy(w, &s.rest)
}

func (s *section) Close() error { return s.file.Close() }

// Fresh tells whether the client says that it has this version already.
func (r *Request) Fresh(tag string, modified time.Time) bool {
	if have := r.Request.Header.Peek("If-None-Match"); len(have) > 0 {
		for one := range strings.SplitSeq(string(have), ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
		return false
	}
	since := r.Request.Header.Peek("If-Modified-Since")
	if len(since) == 0 || modified.IsZero() {
		return false
	}
	at, err := fasthttp.ParseHTTPDate(since)
	return err == nil && !modified.Truncate(time.Second).After(at)
}

// sameAs tells whether If-Range, if it is there, names this version.
func (r *Request) sameAs(f File) bool {
	have := string(r.Request.Header.Peek("If-Range"))
	if have == "" || have == f.Tag && !strings.HasPrefix(have, "W/") {
		return true
	}
	at, err := fasthttp.ParseHTTPDate([]byte(have))
	return err == nil && !f.Modified.IsZero() && f.Modified.Truncate(time.Second).Equal(at)
}

// ParseRange reads the header Range for content of a size. It is not ok, which means that the header counts for nothing, if it is
// malformed, of another unit or asks for several ranges; it is not satisfiable if it begins after the end.
func ParseRange(header string, size int64) (from, length int64, ok, satisfiable bool) {
	text, isBytes := strings.CutPrefix(header, "bytes=")
	first, last, isRange := strings.Cut(strings.TrimSpace(text), "-")
	if !isBytes || !isRange {
		return 0, 0, false, false
	}
	if first == "" {
		n, valid := number(last)
		if !valid {
			return 0, 0, false, false
		}
		n = min(n, size)
		return size - n, n, true, n > 0
	}
	from, valid := number(first)
	if !valid {
		return 0, 0, false, false
	}
	to := size - 1
	if last != "" {
		end, valid := number(last)
		if !valid || end < from {
			return 0, 0, false, false
		}
		to = min(to, end)
	}
	if from >= size {
		return 0, 0, true, false
	}
	return from, to - from + 1, true, true
}

// number reads decimal digits; one that is too large becomes the largest there is.
func number(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}
