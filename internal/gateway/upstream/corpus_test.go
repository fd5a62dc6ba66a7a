package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// hostile is an answer and what is made of it.
type hostile struct {
	name     string
	bytes    string
	end      bool   // the target closes the connection behind it
	method   string // GET if empty
	switches bool

	status  int    // of an answer that is taken
	body    string // of it
	reused  bool   // the connection serves another call
	header  string // name: value that has to be there
	without string // header that must not be there
	trailer string // name: value

	refuse malformed // or what is said of it
	stage  Stage     // of any other error
}

const ok = "HTTP/1.1 200 OK\r\n"
const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"

var corpus = []hostile{
	// What is well.
	{name: "length", bytes: hello, status: 200, body: "hello", reused: true},
	{name: "length 0", bytes: ok + "Content-Length: 0\r\n\r\n", status: 200, reused: true},
	{name: "chunked", bytes: chunked + "5\r\nhello\r\n0\r\n\r\n", status: 200, body: "hello", reused: true},
	{name: "chunked, several", bytes: chunked + "5\r\nhello\r\nA\r\n, 10 bytes\r\n0\r\n\r\n", status: 200, body: "hello, 10 bytes", reused: true},
	{name: "chunked, capital", bytes: ok + "TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", status: 200, body: "x", reused: true},
	{name: "chunked, zeros", bytes: chunked + "0005\r\nhello\r\n000\r\n\r\n", status: 200, body: "hello", reused: true},
	{name: "chunked, extension", bytes: chunked + "5;a=b;c=\"d e\"\r\nhello\r\n0;z\r\n\r\n", status: 200, body: "hello", reused: true},
	{name: "chunked, trailers", bytes: chunked + "1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n", status: 200, body: "x", reused: true, trailer: "X-Sum: 7"},
	{name: "chunked, announced trailers", bytes: ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n", status: 200, body: "x", reused: true, trailer: "X-Sum: 7", header: "Trailer: X-Sum"},
	{name: "trailer announced without chunks", bytes: ok + "Trailer: X-Sum\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true, without: "Trailer"},
	{name: "trailers that frame", bytes: chunked + "1\r\nx\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Sum: 7\r\n\r\n", status: 200, body: "x", reused: true, trailer: "X-Sum: 7"},
	{name: "until close", bytes: ok + "\r\nhello", end: true, status: 200, body: "hello"},
	{name: "until close, said so", bytes: ok + "Connection: close\r\n\r\nhello", end: true, status: 200, body: "hello"},
	{name: "until close, empty", bytes: ok + "\r\n", end: true, status: 200},
	{name: "close", bytes: ok + "Connection: close\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x"},
	{name: "close among others", bytes: ok + "Connection: x-a , Close\r\nX-A: 1\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", without: "X-A"},
	{name: "close and keep-alive", bytes: ok + "Connection: keep-alive\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x"},
	{name: "HTTP/1.0", bytes: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x"},
	{name: "HTTP/1.0 keep-alive", bytes: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true},
	{name: "HTTP/1.0 until close", bytes: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nxyz", end: true, status: 200, body: "xyz"},
	{name: "no reason", bytes: "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true},
	{name: "no reason and no space", bytes: "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true},
	{name: "unknown status", bytes: "HTTP/1.1 299 Odd\r\nContent-Length: 1\r\n\r\nx", status: 299, body: "x", reused: true},
	{name: "no value", bytes: ok + "X-Empty:\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true},
	{name: "blanks around values", bytes: ok + "X-A: \t b c \t\r\nContent-Length: \t1 \r\n\r\nx", status: 200, body: "x", reused: true, header: "X-A: b c"},
	{name: "bytes beyond ASCII in a value", bytes: ok + "X-A: gr\xc3\xbc\xff\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true, header: "X-A: gr\xc3\xbc\xff"},
	{name: "HEAD", method: "HEAD", bytes: ok + "Content-Length: 500\r\n\r\n", status: 200, reused: true, header: "Content-Length: 500"},
	{name: "HEAD chunked", method: "HEAD", bytes: chunked, status: 200, reused: true, without: "Transfer-Encoding"},
	{name: "HEAD without length", method: "HEAD", bytes: ok + "\r\n", status: 200, reused: true},
	{name: "204", bytes: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reused: true},
	{name: "204 with length 0", bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", status: 204, reused: true, without: "Content-Length"},
	{name: "304 with length", bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"a\"\r\n\r\n", status: 304, reused: true, header: "Content-Length: 500"},
	{name: "100 first", bytes: "HTTP/1.1 100 Continue\r\n\r\n" + hello, status: 200, body: "hello", reused: true},
	{name: "100, 102 and 103 first", bytes: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + hello, status: 200, body: "hello", reused: true, without: "X-A"},
	{name: "Proxy-Status", bytes: ok + "Proxy-Status: a\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, header: "Proxy-Status: a"},

	// What belongs to the connection stays there.
	{name: "Keep-Alive", bytes: ok + "Keep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, without: "Keep-Alive"},
	{name: "Proxy-Connection", bytes: ok + "Proxy-Connection: keep-alive\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, without: "Proxy-Connection"},
	{name: "Proxy-Authenticate", bytes: ok + "Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, without: "Proxy-Authenticate"},
	{name: "TE", bytes: ok + "TE: trailers\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, without: "TE"},
	{name: "Upgrade", bytes: ok + "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, without: "Upgrade"},
	{name: "named by Connection", bytes: ok + "X-Secret: 1\r\nConnection: X-Other, x-SECRET\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true, without: "X-Secret"},
	{name: "Connection names Content-Length", bytes: ok + "Connection: Content-Length\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", reused: true},
	{name: "Connection names Transfer-Encoding", bytes: ok + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", status: 200, body: "x", reused: true},

	// More than an answer: the answer is taken, the connection is not.
	{name: "two answers", bytes: hello + hello, status: 200, body: "hello"},
	{name: "a byte more", bytes: hello + "x", status: 200, body: "hello"},
	{name: "CR LF more", bytes: hello + "\r\n", status: 200, body: "hello"},
	{name: "chunked and an answer", bytes: chunked + "1\r\nx\r\n0\r\n\r\n" + hello, status: 200, body: "x"},
	{name: "HEAD with a body", method: "HEAD", bytes: hello, status: 200},
	{name: "204 with a body", bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", status: 204, without: "Content-Length"},
	{name: "204 that announces a body", bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", status: 204, without: "Content-Length"},
	{name: "204 that announces chunks", bytes: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", status: 204, without: "Transfer-Encoding"},
	{name: "304 with a body", bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", status: 304},

	// Framing that can be read in two ways.
	{name: "length and chunked", bytes: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refuse: twoFramings},
	{name: "chunked and length", bytes: ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", refuse: twoFramings},
	{name: "length and chunked, HEAD", method: "HEAD", bytes: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", refuse: twoFramings},
	{name: "two lengths", bytes: ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", refuse: twoLengths},
	{name: "the same length twice", bytes: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", refuse: twoLengths},
	{name: "list of lengths", bytes: ok + "Content-Length: 5, 5\r\n\r\nhello", refuse: badLength},
	{name: "negative length", bytes: ok + "Content-Length: -5\r\n\r\nhello", refuse: badLength},
	{name: "length with a plus", bytes: ok + "Content-Length: +5\r\n\r\nhello", refuse: badLength},
	{name: "length in hexadecimal", bytes: ok + "Content-Length: 0x5\r\n\r\nhello", refuse: badLength},
	{name: "length with a blank", bytes: ok + "Content-Length: 1 0\r\n\r\nhello", refuse: badLength},
	{name: "empty length", bytes: ok + "Content-Length:\r\n\r\nhello", refuse: badLength},
	{name: "length beyond 64 bits", bytes: ok + "Content-Length: 18446744073709551621\r\n\r\nhello", refuse: badLength},
	{name: "identity", bytes: ok + "Transfer-Encoding: identity\r\n\r\nhello", refuse: badEncoding},
	{name: "gzip, chunked", bytes: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "chunked, gzip", bytes: ok + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "chunked twice", bytes: ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "chunked in two lines", bytes: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "chunked with a vertical tab", bytes: ok + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", refuse: badValue},
	{name: "chunked in quotes", bytes: ok + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "chunked with a parameter", bytes: ok + "Transfer-Encoding: chunked;a\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "almost chunked", bytes: ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", refuse: badEncoding},
	{name: "chunked in HTTP/1.0", bytes: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refuse: oldChunked},

	// Lines.
	{name: "LF only", bytes: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", refuse: badLine},
	{name: "LF behind the status", bytes: "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello", refuse: badLine},
	{name: "LF behind a header", bytes: ok + "X-A: b\nContent-Length: 5\r\n\r\nhello", refuse: badLine},
	{name: "LF ends the head", bytes: ok + "Content-Length: 5\r\n\nhello", refuse: badLine},
	{name: "CR in a value", bytes: ok + "X-A: b\rContent-Length: 9\r\nContent-Length: 5\r\n\r\nhello", refuse: badLine},
	{name: "CR in a name", bytes: ok + "X-A\r: b\r\nContent-Length: 5\r\n\r\nhello", refuse: badName},
	{name: "CR CR LF", bytes: ok + "X-A: b\r\r\nContent-Length: 5\r\n\r\nhello", refuse: badLine},
	{name: "CR in the reason", bytes: "HTTP/1.1 200 O\rK\r\nContent-Length: 5\r\n\r\nhello", refuse: badLine},
	{name: "folded", bytes: ok + "X-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", refuse: folded},
	{name: "folded by a tab", bytes: ok + "Content-Length:\r\n\t5\r\n\r\nhello", refuse: folded},
	{name: "blank before the first header", bytes: ok + " X-A: b\r\nContent-Length: 5\r\n\r\nhello", refuse: folded},
	{name: "blank before the colon", bytes: ok + "Content-Length : 5\r\n\r\nhello", refuse: badName},
	{name: "tab before the colon", bytes: ok + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", refuse: badName},
	{name: "no colon", bytes: ok + "X-A\r\nContent-Length: 5\r\n\r\nhello", refuse: badName},
	{name: "no name", bytes: ok + ": b\r\nContent-Length: 5\r\n\r\nhello", refuse: badName},
	{name: "separator in a name", bytes: ok + "X(A): b\r\nContent-Length: 5\r\n\r\nhello", refuse: badName},
	{name: "byte beyond ASCII in a name", bytes: ok + "X\xc3\xbc: b\r\nContent-Length: 5\r\n\r\nhello", refuse: badName},
	{name: "NUL in a name", bytes: ok + "X\x00A: b\r\nContent-Length: 5\r\n\r\nhello", refuse: badName},
	{name: "NUL in a value", bytes: ok + "X-A: b\x00c\r\nContent-Length: 5\r\n\r\nhello", refuse: badValue},
	{name: "escape in a value", bytes: ok + "X-A: \x1b[31m\r\nContent-Length: 5\r\n\r\nhello", refuse: badValue},
	{name: "DEL in a value", bytes: ok + "X-A: \x7f\r\nContent-Length: 5\r\n\r\nhello", refuse: badValue},
	{name: "NUL in the reason", bytes: "HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},

	// The beginning.
	{name: "HTTP/0.9", bytes: "<html>hello</html>", end: true, refuse: badStart},
	{name: "HTTP/2.0", bytes: "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStart},
	{name: "HTTP/1.2", bytes: "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "HTTP/1.10", bytes: "HTTP/1.10 200 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "small letters", bytes: "http/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStart},
	{name: "another protocol", bytes: "SSH-2.0-OpenSSH_9.2\r\n", refuse: badStart},
	{name: "HTTP/2 settings", bytes: "\x00\x00\x12\x04\x00\x00\x00\x00\x00", refuse: badStart},
	{name: "empty line first", bytes: "\r\n" + hello, refuse: badStart},
	{name: "blank first", bytes: " " + hello, refuse: badStart},
	{name: "two blanks", bytes: "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "tab", bytes: "HTTP/1.1\t200 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "no status", bytes: "HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "status of two digits", bytes: "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "status of four digits", bytes: "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "status 099", bytes: "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "status 600", bytes: "HTTP/1.1 600 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "status 1e2", bytes: "HTTP/1.1 1e2 OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "reason without a blank", bytes: "HTTP/1.1 200OK\r\nContent-Length: 5\r\n\r\nhello", refuse: badStatus},
	{name: "a request", bytes: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", refuse: badStart},

	// Interim answers.
	{name: "100 with a length", bytes: "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + hello, refuse: framedEarly},
	{name: "103 with chunks", bytes: "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + hello, refuse: framedEarly},
	{name: "16 interim answers", bytes: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 16) + hello, status: 200, body: "hello", reused: true},
	{name: "17 interim answers", bytes: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 17) + hello, refuse: manyInterim},
	{name: "101 without being asked", bytes: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + hello, refuse: uninvited},
	{name: "101 without Upgrade", switches: true, bytes: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n", refuse: wrongUpgrade},
	{name: "101 without Connection", switches: true, bytes: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", refuse: wrongUpgrade},
	{name: "101 with a length", switches: true, bytes: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\n", refuse: framedEarly},
	{name: "an upgrade that is declined", switches: true, bytes: hello, status: 200, body: "hello", reused: true},

	// Chunks.
	{name: "chunk without a size", bytes: chunked + "\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "size that is no number", bytes: chunked + "g\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "negative size", bytes: chunked + "-5\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "size with 0x", bytes: chunked + "0x5\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "blank before the size", bytes: chunked + " 5\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "blank behind the size", bytes: chunked + "5 \r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "blank before an extension", bytes: chunked + "5 ;a\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "size with an underscore", bytes: chunked + "5_0\r\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "size of 16 digits", bytes: chunked + "0000000000000005\r\nhello\r\n0\r\n\r\n", refuse: hugeChunk},
	{name: "size beyond 64 bits", bytes: chunked + "10000000000000005\r\nhello\r\n0\r\n\r\n", refuse: hugeChunk},
	{name: "LF behind the size", bytes: chunked + "5\nhello\r\n0\r\n\r\n", refuse: badChunk},
	{name: "LF behind an extension", bytes: chunked + "5;a\nhello\r\n0\r\n\r\n", refuse: chunkExtra},
	{name: "CR in an extension", bytes: chunked + "5;a\rb\r\nhello\r\n0\r\n\r\n", refuse: badLine},
	{name: "NUL in an extension", bytes: chunked + "5;a\x00\r\nhello\r\n0\r\n\r\n", refuse: chunkExtra},
	{name: "long extension", bytes: chunked + "5;" + strings.Repeat("a", maxExtension) + "\r\nhello\r\n0\r\n\r\n", refuse: chunkExtra},
	{name: "chunks of one byte in long lines", bytes: chunked + strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n\r\n", refuse: thinChunks},
	{name: "no CR LF behind a chunk", bytes: chunked + "5\r\nhello0\r\n\r\n", refuse: chunkEnd},
	{name: "LF behind a chunk", bytes: chunked + "5\r\nhello\n0\r\n\r\n", refuse: chunkEnd},
	{name: "chunk longer than its size", bytes: chunked + "4\r\nhello\r\n0\r\n\r\n", refuse: chunkEnd},
	{name: "CR without LF behind a chunk", bytes: chunked + "5\r\nhello\rx0\r\n\r\n", refuse: chunkEnd},
	{name: "LF ends the trailers", bytes: chunked + "0\r\n\n", refuse: badLine},
	{name: "CR without LF ends the trailers", bytes: chunked + "0\r\n\rx", refuse: badLine},
	{name: "LF in the trailers", bytes: chunked + "0\r\nX-A: b\n\r\n", refuse: badLine},
	{name: "folded trailer", bytes: chunked + "0\r\nX-A: b\r\n c\r\n\r\n", refuse: folded},
	{name: "NUL in a trailer", bytes: chunked + "0\r\nX-A: \x00\r\n\r\n", refuse: badValue},
	{name: "trailer without a colon", bytes: chunked + "0\r\nhello\r\n\r\n", refuse: badName},
	{name: "long trailers", bytes: chunked + "0\r\nX-A: " + strings.Repeat("b", 4096) + "\r\n\r\n", refuse: longTail},
	{name: "many trailers", bytes: chunked + "0\r\n" + strings.Repeat("A: b\r\n", 33) + "\r\n", refuse: tooMany},

	// Sizes of heads.
	{name: "long head", bytes: ok + "X-A: " + strings.Repeat("b", 4096) + "\r\nContent-Length: 0\r\n\r\n", refuse: tooLong},
	{name: "head without an end", bytes: ok + strings.Repeat("X: y\r\n", 1000), refuse: tooLong},
	{name: "head of one line without an end", bytes: ok + "X: " + strings.Repeat("y", 5000), refuse: tooLong},
	{name: "32 lines", bytes: ok + strings.Repeat("X: y\r\n", 31) + "Content-Length: 0\r\n\r\n", status: 200, reused: true},
	{name: "33 lines", bytes: ok + strings.Repeat("X: y\r\n", 32) + "Content-Length: 0\r\n\r\n", refuse: tooMany},

	// Ends that come early.
	{name: "nothing", end: true, stage: Head},
	{name: "half a head", bytes: ok + "Content-Len", end: true, stage: Head},
	{name: "only an interim answer", bytes: "HTTP/1.1 100 Continue\r\n\r\n", end: true, stage: Head},
	{name: "half a body", bytes: ok + "Content-Length: 5\r\n\r\nhel", end: true, stage: Body},
	{name: "half a long body", bytes: ok + "Content-Length: 500000\r\n\r\nhel", end: true, stage: Body},
	{name: "half a chunk", bytes: chunked + "5\r\nhel", end: true, stage: Body},
	{name: "no last chunk", bytes: chunked + "5\r\nhello\r\n", end: true, stage: Body},
	{name: "no end of the trailers", bytes: chunked + "5\r\nhello\r\n0\r\n", end: true, stage: Body},
}

// TestHostile gives every answer at once, and byte by byte.
func TestHostile(t *testing.T) {
	for _, h := range corpus {
		for _, piece := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s/%d", h.name, piece), func(t *testing.T) {
				t.Parallel()
				h.run(t, piece)
			})
		}
	}
}

func (h hostile) run(t *testing.T, piece int) {
	release := make(chan struct{})
	defer close(release)
	address := script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		if request(from) == "" {
			return
		}
		for b := h.bytes; b != ""; {
			n := min(piece, len(b))
			if _, err := io.WriteString(conn, b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
		if !h.end {
			<-release
		}
	})
	c := client(t, Options{Address: address, MaxIdle: 4, MaxHead: 4096, MaxLines: 32, HeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second})
	method := h.method
	if method == "" {
		method = "GET"
	}
	trailer := ""
	call := &Call{Head: []byte(method + " / HTTP/1.1\r\nHost: t\r\n"), Method: []byte(method), Upgrade: h.switches}
	call.Trailer = func(name, value []byte) { trailer += fmt.Sprintf("%s: %s", name, value) }
	resp := &fasthttp.Response{}
	err := c.Do(call, resp)
	body := ""
	if err == nil {
		body, err = whole(call, resp)
	} else if n := resp.Header.Len(); resp.StatusCode() != 200 || len(resp.Body()) != 0 {
		t.Errorf("a failed call left status %d, %d headers", resp.StatusCode(), n)
	}
	if h.status == 0 {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%d %q, %v; want a refusal", resp.StatusCode(), body, err)
		}
		if h.refuse != "" && (!errors.Is(e, h.refuse) || !e.Malformed) || h.refuse == "" && (e.Stage != h.stage || e.Malformed) || e.Timeout || !e.Sent {
			t.Fatalf("%+v, want %q", e, h.refuse)
		}
		if s := c.Stats(); s.Open != 0 {
			t.Errorf("kept the connection: %+v", s)
		}
		return
	}
	if err != nil || resp.StatusCode() != h.status || body != h.body {
		t.Fatalf("%d %q, %v; want %d %q", resp.StatusCode(), body, err, h.status, h.body)
	}
	if name, value, _ := strings.Cut(h.header, ": "); string(resp.Header.Peek(name)) != value {
		t.Errorf("header %s is %q, want %q", name, resp.Header.Peek(name), value)
	}
	if h.without != "" && len(resp.Header.Peek(h.without)) > 0 {
		t.Errorf("header %s came through", h.without)
	}
	if trailer != h.trailer {
		t.Errorf("trailers %q, want %q", trailer, h.trailer)
	}
	// Bytes behind an answer may come when the connection is idle; they are seen before it is used again.
	if s := c.Stats(); h.reused && s.Idle != 1 || !h.reused && piece > 1 && s.Open != 0 {
		t.Errorf("%+v, want the connection kept: %v", s, h.reused)
	}
}
