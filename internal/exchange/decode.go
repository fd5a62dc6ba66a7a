package exchange

import "io"

// Decode lets everybody who reads the body get what open makes of the bytes that come. The body has no encoding and no known length
// any more. It is to be called before the body is read, and changes nothing of what is expected on the connection.
func (r *Request) Decode(open func(io.Reader) io.Reader) {
	r.decode = open
	r.Request.Header.Del("Content-Encoding")
}

// Decodes tells whether the body is one that Decode has changed.
func (r *Request) Decodes() bool { return r.decode != nil }

// Length is that of the body in bytes, -1 if nobody knows before it was read.
func (r *Request) Length() int64 {
	n := r.Request.Header.ContentLength()
	if n < 0 || r.decode != nil && n > 0 {
		return -1
	}
	return int64(n)
}

// Keep is Body for those who look at a body on its way: whoever reads it afterwards gets the same bytes again. They must not be changed.
func (r *Request) Keep(limit int64) ([]byte, error) {
	body, err := r.Body(limit)
	if err != nil {
		return nil, err
	}
	r.decode = nil
	r.Request.SetBodyRaw(body) // lets go of a stream, the rest of which is the server's
	r.Request.Header.SetContentLength(len(body))
	return body, nil
}

// decoded is a body that was decoded: HR1003 after limit bytes.
type decoded struct {
	from  io.Reader
	read  int64
	limit Limit
}

// Read implements io.Reader.
func (d *decoded) Read(p []byte) (int, error) {
	if !d.limit.Allows(d.read) {
		return 0, d.limit.Exceeded()
	}
	n, err := d.from.Read(p)
	if d.read += int64(n); !d.limit.Allows(d.read) {
		return 0, d.limit.Exceeded()
	}
	return n, err
}
