package upstream

import (
	"bytes"
	"io"

	"github.com/valyala/fasthttp"
)

// maxInterim is how many answers of status 1xx may come before the final one.
const maxInterim = 16

const (
	manyInterim  = malformed("there are more than 16 interim answers")
	framedEarly  = malformed("an interim answer announces a body")
	uninvited    = malformed("the target switches protocols without being asked to")
	wrongUpgrade = malformed("an answer of status 101 does not say what it switches to")
)

// next waits until a whole head is buffered and reads it. It is in front of the bytes that are buffered, and stays there.
func (k *conn) next(by int64) (*head, error) {
	most := k.client.options.MaxHead
	for seen := 0; ; {
		if b := k.buffered(); len(b) > seen {
			end, err := look(b[:min(len(b), most)], seen)
			if err != nil {
				return nil, err
			}
			if end > 0 {
				h := &k.buf.head
				k.ahead = end
				return h, h.parse(b[:end], k.client.options.MaxLines)
			}
			if len(b) >= most {
				return nil, tooLong
			}
			seen = len(b)
			k.room(most)
		}
		if err := k.receive(by); err != nil {
			if err != io.EOF {
				return nil, err
			}
			if k.received {
				return nil, errCut
			}
			return nil, errSilent
		}
	}
}

// room makes the buffer larger if it is full of a head that is not whole.
func (k *conn) room(most int) {
	if k.w < len(k.buf.b) {
		return
	}
	if k.r == 0 {
		larger := &buffer{b: make([]byte, min(4*len(k.buf.b), most+bufferSize))}
		copy(larger.b, k.buf.b[:k.w])
		k.buf.giveBack()
		k.buf = larger
		return
	}
	k.w = copy(k.buf.b, k.buf.b[k.r:k.w])
	k.r = 0
}

// interim deals with an answer of status 1xx, which k.next has just read.
func (k *conn) interim(h *head, call *Call) error {
	k.interims++
	switch {
	case k.interims > maxInterim:
		return manyInterim
	case h.chunked || h.length > 0:
		return framedEarly
	case h.status == fasthttp.StatusEarlyHints && call.Early != nil:
		resp := fasthttp.AcquireResponse()
		h.fill(&resp.Header, false)
		call.Early(h.status, &resp.Header)
		fasthttp.ReleaseResponse(resp)
	}
	k.skip()
	return nil
}

// skip is done with the head that k.next has read: it may belong to another call from here on.
func (k *conn) skip() {
	n := k.ahead
	k.ahead = 0
	k.use(n)
}

// heard looks whether the target has answered before the request was sent whole, and tells whether the rest is useless: if the answer
// is anything but success. A target that says 200 may still read on.
func (k *conn) heard(call *Call) (stop bool, err error) {
	for k.ahead == 0 {
		if some, err := k.poll(); !some {
			return false, err
		}
		h, err := k.next(clock() + int64(k.client.options.HeaderTimeout))
		if err != nil {
			return false, err
		}
		if h.status >= 200 || h.status == fasthttp.StatusSwitchingProtocols {
			return h.status < 200 || h.status >= 300, nil
		}
		if err := k.interim(h, call); err != nil {
			return false, err
		}
	}
	return false, nil
}

// final is the head of the final answer, or that of status 101.
func (k *conn) final(call *Call) (*head, error) {
	if k.headBy == 0 {
		k.headBy = clock() + int64(k.client.options.HeaderTimeout)
	}
	for {
		var h *head
		if k.ahead > 0 {
			h = &k.buf.head
		} else {
			var err error
			if h, err = k.next(k.headBy); err != nil {
				return nil, err
			}
		}
		switch {
		case h.status >= 200:
			return h, nil
		case h.status == fasthttp.StatusSwitchingProtocols:
			switch {
			case !call.Upgrade:
				return nil, uninvited
			case !h.upgrade || !h.switches || h.minor == 0:
				return nil, wrongUpgrade
			case h.chunked || h.length > 0:
				return nil, framedEarly
			}
			return h, nil
		}
		if err := k.interim(h, call); err != nil {
			return nil, err
		}
	}
}

// answer gives the answer whose head is read to the caller.
func (k *conn) answer(h *head, call *Call, resp *fasthttp.Response) *Error {
	keep := h.persists()
	body := k.buffered()[k.ahead:]
	switch {
	case isHead(call.Method) || h.without():
		none := h.status == fasthttp.StatusNoContent
		resp.ResetBody()
		h.fill(&resp.Header, !none)
		keep = keep && !(none && (h.chunked || h.length > 0))
		k.skip()
		k.done(keep)
	case h.length >= 0 && h.length <= int64(k.client.options.Inline):
		if err := k.inline(body, int(h.length), resp); err != nil {
			return err
		}
		h.fill(&resp.Header, false)
		n := min(int(h.length), len(body))
		k.skip()
		k.use(n)
		k.done(keep)
	case h.chunked && !h.trailer && len(body) <= k.client.options.Inline && bytes.HasSuffix(body, []byte("0\r\n\r\n")):
		n, err := k.gather(body, call, resp)
		if err != nil {
			return err
		}
		if n == 0 {
			k.stream(h, call, resp, keep)
			return nil
		}
		h.fill(&resp.Header, false)
		k.skip()
		k.use(n)
		k.done(keep)
	default:
		k.stream(h, call, resp, keep)
	}
	return nil
}

// inline reads a body of n bytes into the body of resp; buffered are those of them, and what is behind, that have come.
func (k *conn) inline(buffered []byte, n int, resp *fasthttp.Response) *Error {
	if n <= len(buffered) {
		resp.SetBody(buffered[:n])
		return nil
	}
	resp.ResetBody()
	body := resp.SwapBody(nil)
	if cap(body) < n {
		body = make([]byte, n)
	}
	body = body[:n]
	for got := copy(body, buffered); got < n; {
		more, err := k.read(body[got:])
		got += more
		if err != nil && got < n {
			resp.SwapBody(body[:0])
			return bodyFailure(err)
		}
	}
	resp.SwapBody(body)
	return nil
}

// gather reads a chunked body that has come whole into the body of resp; n is its length on the wire, 0 if it has not come whole after all.
func (k *conn) gather(b []byte, call *Call, resp *fasthttp.Response) (n int, failed *Error) {
	resp.ResetBody()
	body := resp.SwapBody(nil)[:0]
	c := chunks{limit: k.client.options.MaxHead}
	for n < len(b) && c.state != atEnd {
		data, used, err := c.next(b[n:], len(b))
		if err != nil {
			resp.SwapBody(body[:0])
			return 0, bodyFailure(err)
		}
		n += used
		body = append(body, data...)
	}
	if c.state != atEnd {
		resp.SwapBody(body[:0])
		return 0, nil
	}
	resp.SwapBody(body)
	return n, k.trailers(&c, call.Trailer)
}

// trailers hands those of a body on.
func (k *conn) trailers(c *chunks, to func(name, value []byte)) *Error {
	fields, err := c.fields(k.client.options.MaxLines)
	if err != nil {
		return bodyFailure(err)
	}
	if to != nil {
		for _, f := range fields {
			to(f.name, f.value)
		}
	}
	return nil
}

// bodyFailure makes an Error of what happened in the body of an answer.
func bodyFailure(err error) *Error {
	if err == io.EOF {
		err = errCut
	}
	return failure(Body, true, err)
}
