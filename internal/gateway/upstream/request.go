package upstream

import (
	"io"
	"slices"
	"strconv"
)

// frameSize is more than what the client adds to a head.
const frameSize = 160

// request sends the request. It returns when its last byte is on its way, or when an answer has come that makes the rest useless; of
// a request that is in memory, when the first bytes of the answer are there.
func (k *conn) request(call *Call) *Error {
	out := borrow()
	if need := len(call.Head) + frameSize; need > len(out.b) {
		out.giveBack()
		out = &buffer{b: make([]byte, need)}
	}
	n := k.compose(out.b[:0], call)
	rest := call.Whole
	whole := call.Whole != nil || call.Body == nil
	if whole {
		copied := copy(out.b[n:], rest)
		n, rest = n+copied, rest[copied:]
	}
	if whole && len(rest) == 0 {
		if err := k.ask(out, n, call); err != nil {
			return k.unanswered(err)
		}
		return nil
	}
	if k.kept && !k.silent() {
		out.giveBack()
		return failure(Send, false, errKept)
	}
	var failed *Error
	if whole {
		failed = k.sendWhole(out.b[:n], rest, call)
	} else {
		failed = k.sendBody(out.b, n, call)
	}
	out.giveBack()
	return failed
}

// unanswered makes an Error of what happened between the first byte of the request and the first byte of the answer.
func (k *conn) unanswered(err error) *Error {
	if err == io.EOF {
		err = errSilent
	}
	stage := Head
	if !k.sent {
		stage = Send
	}
	return failure(stage, k.sent, err)
}

// compose writes the head of the request to b, which has room for it.
func (k *conn) compose(b []byte, call *Call) int {
	b = append(b, call.Head...)
	closing := k.client.options.MaxIdle <= 0
	switch {
	case call.Upgrade && call.TE:
		b = append(b, "Connection: upgrade, TE\r\nTE: trailers\r\n"...)
	case call.Upgrade:
		b = append(b, "Connection: upgrade\r\n"...)
	case call.TE && closing:
		b = append(b, "Connection: close, TE\r\nTE: trailers\r\n"...)
	case call.TE:
		b = append(b, "Connection: TE\r\nTE: trailers\r\n"...)
	case closing:
		b = append(b, "Connection: close\r\n"...)
	}
	switch {
	case call.Whole != nil:
		b = appendLength(b, int64(len(call.Whole)))
	case call.Body == nil:
		switch string(call.Method) {
		case "POST", "PUT", "PATCH": // that there is no body is not taken for granted
			b = appendLength(b, 0)
		}
	case call.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	default:
		b = appendLength(b, call.Length)
	}
	b = append(b, "\r\n"...)
	return len(b)
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, "\r\n"...)
}

// pieceSize is how much of a body that is in memory is written before the client looks for an answer.
const pieceSize = 256 << 10

// sendWhole sends what is in memory in pieces, until there is an answer that makes the rest useless.
func (k *conn) sendWhole(first, rest []byte, call *Call) *Error {
	for piece := first; ; {
		if stop, failed := k.piece(piece, len(rest) == 0, call); stop || failed != nil {
			return failed
		}
		if len(rest) == 0 {
			return nil
		}
		n := min(len(rest), pieceSize)
		piece, rest = rest[:n], rest[n:]
	}
}

// sendBody sends the head, which is the first n bytes of b, and then the body as it comes. The first piece of a body whose length is
// known goes out with the head; one of unknown length may wait for the target.
func (k *conn) sendBody(b []byte, n int, call *Call) *Error {
	left, chunked := call.Length, call.Length < 0
	read, cut := call.Body.Read, false
	if call.Interrupt != nil {
		s := &stall{k: k, interrupt: call.Interrupt}
		read = func(to []byte) (n int, err error) {
			n, err, cut = s.watched(call.Body.Read, to)
			return n, err
		}
	}
	if chunked || len(b)-n < 1<<10 {
		if stop, failed := k.piece(b[:n], left == 0, call); stop || failed != nil || left == 0 {
			return failed
		}
		n = 0
	}
	for {
		const before, after = 8, 7 // size and CR LF; CR LF and the last chunk
		to := b[n:]
		if chunked {
			to = b[before : len(b)-after]
		} else if int64(len(to)) > left {
			to = to[:left]
		}
		got, err := 0, error(nil)
		if len(to) > 0 {
			got, err = k.draw(read, to)
		}
		if cut {
			if stop, failed := k.piece(nil, false, call); stop || failed != nil {
				return failed
			}
		}
		var piece []byte
		last := false
		if chunked {
			last = err == io.EOF
			var tail []byte
			if last && call.Tail != nil {
				tail = call.Tail()
			}
			if piece = frameChunk(b, before, got, last && len(tail) == 0); len(tail) > 0 {
				piece = slices.Concat(piece, []byte("0\r\n"), tail, []byte("\r\n"))
			}
		} else {
			left -= int64(got)
			last = left == 0
			piece = b[:n+got]
			n = 0
		}
		switch {
		case err != nil && err != io.EOF:
			return failure(Source, k.sent, err)
		case err == io.EOF && !last:
			return failure(Source, k.sent, io.ErrUnexpectedEOF)
		}
		if stop, failed := k.piece(piece, last, call); stop || failed != nil || last {
			return failed
		}
	}
}

// draw reads from the body until there are bytes.
func (k *conn) draw(read func([]byte) (int, error), to []byte) (int, error) {
	k.drawn = true
	for range 100 {
		if n, err := read(to); n != 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// frameChunk puts the size before, and CR LF after the n bytes at at, and the last chunk if it is the last.
func frameChunk(b []byte, at, n int, last bool) []byte {
	from, to := at, at+n
	if n > 0 {
		from -= 2
		b[from], b[from+1] = '\r', '\n'
		for size := n; size > 0; size >>= 4 {
			from--
			b[from] = "0123456789abcdef"[size&15]
		}
		to += copy(b[to:], "\r\n")
	}
	if last {
		to += copy(b[to:], "0\r\n\r\n")
	}
	return b[from:to]
}

// piece sends p. It says stop if the target has answered so that the rest is useless.
func (k *conn) piece(p []byte, last bool, call *Call) (stop bool, failed *Error) {
	stop, err := k.write(p, call)
	if err == nil && !stop && !last {
		stop, err = k.heard(call)
	}
	if err != nil {
		if err == io.EOF {
			err = errSilent
		}
		return false, failure(Send, k.sent, err)
	}
	k.partial = stop
	return stop, nil
}
