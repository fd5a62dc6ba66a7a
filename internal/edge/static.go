package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

const (
	mostKept = 16 << 20    // bytes of small files kept in memory for one folder
	small    = 64 << 10    // a file up to this size is kept
	trusted  = time.Second // a kept file is looked at again after this time
)

// folder serves the files of a folder. Nothing outside of it can be reached, not by .. and not by symbolic links, and no name that
// begins with a dot.
type folder struct {
	root *os.Root

	mu    sync.RWMutex
	kept  map[string]*kept
	bytes int
}

// kept is a small file in memory.
type kept struct {
	body     []byte
	modified time.Time
	tag      string
	media    string
	looked   atomic.Int64 // when it was last compared with the disk, Unix nanoseconds
}

func newFolder(root *os.Root) *folder { return &folder{root: root, kept: map[string]*kept{}} }

// serve answers GET and HEAD; the name of the file begins at this byte of the path. Where there is no such file, the answer is the fallback,
// if it is not empty and the path does not look as if it should lead out of the folder.
func (f *folder) serve(r *exchange.Request, from int, fallback string) error {
	full := r.Path()
	err := f.find(r, full[min(from, len(full)):])
	if fallback != "" && errors.Is(err, fs.ErrNotExist) && !climbs(r.Request.Header.RequestURI()) {
		return f.find(r, []byte(fallback))
	}
	return err
}

// climbs tells whether a path has what is used to leave a folder: segments of dots, also with parameters behind, slashes that are escaped,
// backslashes, escapes that are escaped, or control characters.
func climbs(path []byte) bool {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	plain := decode(bytes.Clone(path))
	if bytes.Count(plain, []byte("/")) != bytes.Count(path, []byte("/")) {
		return true
	}
	for _, c := range plain {
		if c < ' ' || c == 0x7f || c == '\\' || c == '%' {
			return true
		}
	}
	for segment := range bytes.SplitSeq(plain, []byte("/")) {
		if segment, _, _ = bytes.Cut(segment, []byte(";")); len(segment) > 0 && len(bytes.Trim(segment, ". ")) == 0 {
			return true
		}
	}
	return false
}

// find answers with a file. The error wraps fs.ErrNotExist if there is none, and not if there may be one that is not shown.
func (f *folder) find(r *exchange.Request, name []byte) error {
	f.mu.RLock()
	k := f.kept[string(name)]
	f.mu.RUnlock()
	if k != nil && time.Now().UnixNano()-k.looked.Load() < int64(trusted) {
		if len(r.Request.Header.Peek("Range")) == 0 {
			return k.answer(r)
		}
	}
	return f.read(r, string(name))
}

func (f *folder) read(r *exchange.Request, name string) error {
	file := name
	if file == "" || strings.HasSuffix(file, "/") {
		file += "index.html"
	}
	for segment := range strings.SplitSeq(file, "/") {
		if strings.HasPrefix(segment, ".") {
			return hidden(name)
		}
	}
	opened, err := f.root.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return missing(name)
	case err != nil:
		return hidden(name)
	}
	info, err := opened.Stat()
	if err != nil {
		_ = opened.Close()
		return hidden(name)
	}
	if info.IsDir() {
		_ = opened.Close()
		if _, err := f.root.Stat(file + "/index.html"); err != nil {
			return missing(name)
		}
		// Not Redirect, which would make it absolute with the Host that the client sent; and not the path as it was sent, which may begin
		// with two slashes and so name another host.
		r.Response.Header.Set("Location", (&url.URL{Path: string(r.Path()) + "/"}).EscapedPath())
		r.SetStatusCode(fasthttp.StatusMovedPermanently)
		return nil
	}
	if !info.Mode().IsRegular() {
		_ = opened.Close()
		return hidden(name)
	}
	media := mime.TypeByExtension(path.Ext(file))
	if media == "" {
		media = "application/octet-stream"
	}
	tag := fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size())
	r.Response.Header.Set("Cache-Control", "no-cache")
	r.Response.Header.Set("X-Content-Type-Options", "nosniff")
	if info.Size() > small || len(r.Request.Header.Peek("Range")) > 0 {
		return r.File(exchange.File{File: opened, Size: info.Size(), Modified: info.ModTime(), Tag: tag, Media: media})
	}
	defer opened.Close()
	body := make([]byte, info.Size())
	if n, err := opened.ReadAt(body, 0); n < len(body) && err != nil {
		return problem.New("HR7004", "file %s: %w", name, err)
	}
	k := &kept{body: body, modified: info.ModTime(), tag: tag, media: media}
	k.looked.Store(time.Now().UnixNano())
	f.keep(name, k)
	return k.answer(r)
}

// keep remembers a file; when there are too many they are all forgotten.
func (f *folder) keep(name string, k *kept) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.kept[name]; old != nil {
		f.bytes -= len(old.body) + len(name)
	}
	if f.bytes += len(k.body) + len(name); f.bytes > mostKept {
		clear(f.kept)
		f.bytes = len(k.body) + len(name)
	}
	f.kept[name] = k
}

func (k *kept) answer(r *exchange.Request) error {
	h := &r.Response.Header
	h.Set("Etag", k.tag)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Accept-Ranges", "bytes")
	h.SetLastModified(k.modified)
	if r.Fresh(k.tag, k.modified) {
		r.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	h.SetContentType(k.media)
	r.SetStatusCode(fasthttp.StatusOK)
	r.Response.SetBodyRaw(k.body)
	return nil
}

func missing(name string) error {
	return problem.New("HR1014", "no file %.200q: %w", name, fs.ErrNotExist)
}

// hidden says the same, of what may be there.
func hidden(name string) error {
	return problem.New("HR1014", "no file %.200q: %v", name, fs.ErrNotExist)
}
