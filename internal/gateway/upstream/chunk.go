package upstream

// What a chunked body may waste.
const (
	maxDigits    = 15       // of the size of a chunk
	maxExtension = 256      // bytes after the size, in one line
	maxWaste     = 16 << 10 // bytes of framing beyond 16 for each chunk and twice its data
)

const (
	badChunk   = malformed("the size of a chunk is not a hexadecimal number")
	hugeChunk  = malformed("the size of a chunk has too many digits")
	chunkExtra = malformed("the extension of a chunk is not valid or too long")
	chunkEnd   = malformed("a chunk does not end with CR LF")
	thinChunks = malformed("the chunks are smaller than what is around them")
	longTail   = malformed("the trailers are larger than their limit")
)

type chunkState uint8

const (
	inSize      chunkState = iota
	inExtension            // after a semicolon
	inSizeLF
	inData
	inDataCR
	inDataLF
	inTrailer
	inLastLF // of a body without trailers
	atEnd
)

// chunks takes a chunked body apart, whatever pieces it comes in. The zero value is at the beginning of a body.
type chunks struct {
	state   chunkState
	digits  int
	line    int   // bytes of the line of the size
	left    int64 // of the chunk's data
	waste   int64
	trailer []byte // lines of the trailers so far, the empty line included
	limit   int    // of trailer; 0 allows none
}

// next takes n bytes of b. data are those of them that belong to the body, at most most. It goes on until there is data,
// or could be if most were not 0, b is used up or the body ends.
func (c *chunks) next(b []byte, most int) (data []byte, n int, err error) {
	for n < len(b) && c.state != atEnd {
		ch := b[n]
		switch c.state {
		case inSize:
			v := hex(ch)
			switch {
			case v < 16 && c.digits == maxDigits:
				return nil, n, hugeChunk
			case v < 16:
				c.left = c.left<<4 | int64(v)
				c.digits++
			case c.digits == 0:
				return nil, n, badChunk
			case ch == '\r':
				c.state = inSizeLF
			case ch == ';':
				c.state = inExtension
			default:
				return nil, n, badChunk
			}
			c.line++
		case inExtension:
			switch {
			case c.line == maxExtension:
				return nil, n, chunkExtra
			case ch == '\r':
				c.state = inSizeLF
			case !visible[ch]:
				return nil, n, chunkExtra
			}
			c.line++
		case inSizeLF:
			if ch != '\n' {
				return nil, n, badLine
			}
			c.waste = max(c.waste+int64(c.line)-16-2*c.left, 0)
			if c.waste > maxWaste {
				return nil, n, thinChunks
			}
			c.state = inData
			if c.left == 0 {
				c.state = inTrailer
			}
			c.digits, c.line = 0, 0
		case inData:
			if most == 0 {
				return nil, n, nil
			}
			data = b[n:min(int64(len(b)), int64(n)+min(c.left, int64(most)))]
			c.left -= int64(len(data))
			if c.left == 0 {
				c.state = inDataCR
			}
			return data, n + len(data), nil
		case inDataCR:
			if ch != '\r' {
				return nil, n, chunkEnd
			}
			c.state = inDataLF
		case inDataLF:
			if ch != '\n' {
				return nil, n, chunkEnd
			}
			c.state = inSize
		case inTrailer:
			if len(c.trailer) == 0 && ch == '\r' {
				c.state = inLastLF
			} else if err := c.tail(ch); err != nil {
				return nil, n, err
			}
		case inLastLF:
			if ch != '\n' {
				return nil, n, badLine
			}
			c.state = atEnd
		}
		n++
	}
	return nil, n, nil
}

// tail takes a byte of the trailers.
func (c *chunks) tail(ch byte) error {
	last := len(c.trailer) - 1
	cr := last >= 0 && c.trailer[last] == '\r'
	if cr != (ch == '\n') {
		return badLine
	}
	if len(c.trailer) == c.limit {
		return longTail
	}
	c.trailer = append(c.trailer, ch)
	if n := len(c.trailer); ch == '\n' && n >= 4 && c.trailer[n-3] == '\n' {
		c.state = atEnd
	}
	return nil
}

// fields are those of the trailers, once the body has ended, without those that say how the message is framed.
func (c *chunks) fields(lines int) ([]field, error) {
	if len(c.trailer) == 0 {
		return nil, nil
	}
	all, err := parseFields(nil, c.trailer, lines)
	kept := all[:0]
	for _, f := range all {
		if f.kind == ordinary {
			kept = append(kept, f)
		}
	}
	return kept, err
}

func hex(c byte) byte {
	switch {
	case digit(c):
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
