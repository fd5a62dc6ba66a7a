package hostile

import "strings"

// attack is what a client sends, and what must come of it. ID in raw becomes the mark of the case; the path /stolen is that of a request
// that a careless reader would find in the bytes of another.
type attack struct {
	name string
	// refuse: 4xx or 501, the connection ends, and the upstream has seen nothing; deny: the same, but the connection may live on; cut: no good
	// answer and no whole request at the upstream; a number: so many requests at the upstream, and so many good answers; a number and refuse: a
	// refusal after those.
	want string
	raw  string
	// checks of what the upstream got: a text that must be there, or one after ! that must not.
	checks []string
}

const (
	get    = "GET /p/ID HTTP/1.1\r\nHost: x.test\r\n"
	post   = "POST /p/ID HTTP/1.1\r\nHost: x.test\r\n"
	stolen = "GET /stolen/ID HTTP/1.1\r\nHost: x.test\r\n\r\n"
	second = "GET /second/ID HTTP/1.1\r\nHost: x.test\r\n\r\n"
	socket = "GET /switch/ID HTTP/1.1\r\nHost: x.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

// coding is a request with chunks under some Transfer-Encoding, followed by what chunks hide.
func coding(line string) string { return post + line + "\r\n\r\n0\r\n\r\n" + stolen }

// length is a request with some Content-Length and a body of five bytes.
func length(lines string) string { return post + lines + "\r\n\r\nhello" + stolen }

// chunks is a request with a body in chunks.
func chunks(body string) string { return post + "Transfer-Encoding: chunked\r\n\r\n" + body }

var corpus = []attack{
	// What is right must pass.
	{"plain get", "1", get + "\r\n", nil},
	{"plain post", "1", post + "Content-Length: 5\r\n\r\nhello", []string{"hello"}},
	{"plain chunks", "1", chunks("5\r\nhello\r\n0\r\n\r\n"), []string{"hello"}},
	{"pipelined", "2", get + "\r\n" + second, nil},
	{"pipelined with bodies", "3", post + "Content-Length: 5\r\n\r\nhello" + chunks("5\r\nhello\r\n0\r\n\r\n") + second, nil},
	{"body that looks like a request", "1", post + "Content-Length: 56\r\n\r\n" + strings.Repeat("GET /stolen HTTP/1.1\r\nHost: x\r\n\r\n", 2)[:56], nil},

	// Content-Length and Transfer-Encoding together.
	{"CL.TE", "refuse", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"TE.CL", "refuse", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + stolen + "0\r\n\r\n", nil},
	{"CL.TE, lengths agree", "refuse", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", nil},
	{"CL.TE with CL 0", "refuse", post + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"CL.TE in small letters", "refuse", post + "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"CL.TE with GET", "refuse", get + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"CL.TE identity", "refuse", length("Content-Length: 5\r\nTransfer-Encoding: identity"), nil},

	// Transfer-Encoding that only some readers understand.
	{"TE xchunked", "refuse", coding("Transfer-Encoding: xchunked"), nil},
	{"TE chunkedx", "refuse", coding("Transfer-Encoding: chunkedx"), nil},
	{"TE identity", "refuse", coding("Transfer-Encoding: identity"), nil},
	{"TE empty", "refuse", coding("Transfer-Encoding:"), nil},
	{"TE gzip", "refuse", coding("Transfer-Encoding: gzip"), nil},
	{"TE gzip, chunked", "refuse", coding("Transfer-Encoding: gzip, chunked"), nil},
	{"TE chunked, gzip", "refuse", coding("Transfer-Encoding: chunked, gzip"), nil},
	{"TE chunked, identity", "refuse", coding("Transfer-Encoding: chunked, identity"), nil},
	{"TE identity, chunked", "refuse", coding("Transfer-Encoding: identity, chunked"), nil},
	{"TE chunked, chunked", "refuse", coding("Transfer-Encoding: chunked, chunked"), nil},
	{"TE twice", "refuse", coding("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), nil},
	{"TE twice, second unknown", "refuse", coding("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"), nil},
	{"TE twice, first unknown", "refuse", coding("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"), nil},
	{"TE trailing comma", "refuse", coding("Transfer-Encoding: chunked,"), nil},
	{"TE leading comma", "refuse", coding("Transfer-Encoding: ,chunked"), nil},
	{"TE quoted", "refuse", coding("Transfer-Encoding: \"chunked\""), nil},
	{"TE with parameter", "refuse", coding("Transfer-Encoding: chunked;q=1"), nil},
	{"TE space before colon", "refuse", coding("Transfer-Encoding : chunked"), nil},
	{"TE tab before colon", "refuse", coding("Transfer-Encoding\t: chunked"), nil},
	{"TE space before name", "refuse", coding(" Transfer-Encoding: chunked"), nil},
	{"TE folded", "refuse", coding("Transfer-Encoding:\r\n chunked"), nil},
	{"TE folded behind another", "refuse", coding("X: y\r\n Transfer-Encoding: chunked"), nil},
	{"TE vertical tab", "refuse", coding("Transfer-Encoding: \vchunked"), nil},
	{"TE form feed", "refuse", coding("Transfer-Encoding: chunked\f"), nil},
	{"TE NUL", "refuse", coding("Transfer-Encoding: chunked\x00"), nil},
	{"TE in name with NUL", "refuse", coding("Transfer-Encoding\x00: chunked"), nil},
	{"TE bare CR before value", "refuse", coding("Transfer-Encoding: \rchunked"), nil},
	{"TE after bare LF", "refuse", coding("X: y\nTransfer-Encoding: chunked"), nil},
	{"TE after bare CR", "refuse", coding("X: y\rTransfer-Encoding: chunked"), nil},
	{"TE without colon", "refuse", coding("Transfer-Encoding chunked"), nil},
	{"TE with NBSP", "refuse", coding("Transfer-Encoding: \xa0chunked"), nil},
	{"TE in HTTP/1.0", "refuse", "POST /p/ID HTTP/1.0\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"TE in HTTP/1.0, kept alive", "refuse", "POST /p/ID HTTP/1.0\r\nHost: x.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"TE capital letters", "1", post + "TRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{"hello"}},
	{"TE tab before value", "1", post + "Transfer-Encoding:\tchunked\t\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{"hello"}},
	{"TE with underscore", "1", post + "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", []string{"hello", "!ransfer_"}},

	// Content-Length.
	{"CL twice", "refuse", length("Content-Length: 5\r\nContent-Length: 0"), nil},
	{"CL twice, equal", "refuse", length("Content-Length: 5\r\nContent-Length: 5"), nil},
	{"CL twice by letters", "refuse", length("Content-Length: 5\r\ncontent-length: 0"), nil},
	{"CL list", "refuse", length("Content-Length: 5, 0"), nil},
	{"CL list, equal", "refuse", length("Content-Length: 5, 5"), nil},
	{"CL +5", "refuse", length("Content-Length: +5"), nil},
	{"CL -5", "refuse", length("Content-Length: -5"), nil},
	{"CL 0x5", "refuse", length("Content-Length: 0x5"), nil},
	{"CL 5.0", "refuse", length("Content-Length: 5.0"), nil},
	{"CL 5e0", "refuse", length("Content-Length: 5e0"), nil},
	{"CL 5 5", "refuse", length("Content-Length: 5 5"), nil},
	{"CL 1_0", "refuse", length("Content-Length: 1_0"), nil},
	{"CL quoted", "refuse", length("Content-Length: \"5\""), nil},
	{"CL empty", "refuse", length("Content-Length:"), nil},
	{"CL word", "refuse", length("Content-Length: five"), nil},
	{"CL over 64 bits", "refuse", length("Content-Length: 18446744073709551621"), nil},
	{"CL over 63 bits", "refuse", length("Content-Length: 9223372036854775813"), nil},
	{"CL of 400 digits", "refuse", length("Content-Length: 1" + strings.Repeat("0", 400)), nil},
	{"CL huge", "refuse", length("Content-Length: 9223372036854775807"), nil},
	{"CL leading zeros", "1", post + "Content-Length: 005\r\n\r\nhello", []string{"hello", "Content-Length: 5\r\n"}},
	{"CL with spaces", "1", post + "Content-Length:   5  \r\n\r\nhello", []string{"hello", "Content-Length: 5\r\n"}},
	{"CL space before colon", "refuse", length("Content-Length : 5"), nil},
	{"CL folded", "refuse", length("Content-Length:\r\n 5"), nil},
	{"CL with NUL", "refuse", length("Content-Length: 5\x00"), nil},
	{"CL too long for the body", "cut", post + "Content-Length: 50\r\n\r\nhello", nil},
	{"CL with underscore", "1", post + "Content_Length: 99\r\nContent-Length: 5\r\n\r\nhello", []string{"hello", "!ontent_"}},
	{"CL 0 and a body", "1+refuse", post + "Content-Length: 0\r\n\r\nhello GET /stolen/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"no CL and a body", "1+refuse", post + "\r\nhello hello hello\r\n\r\n", nil},
	{"get with CL", "1", get + "Content-Length: 5\r\n\r\nhello", []string{"hello"}},
	{"get with chunks", "1", get + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{"hello"}},
	{"get with CL that hides a request", "1", get + "Content-Length: 39\r\n\r\n" + strings.Replace(stolen, "ID", "", 1), nil},
	{"head with CL", "1", "HEAD /p/ID HTTP/1.1\r\nHost: x.test\r\nContent-Length: 5\r\n\r\nhello", nil},
	{"delete with CL", "1", "DELETE /p/ID HTTP/1.1\r\nHost: x.test\r\nContent-Length: 5\r\n\r\nhello", []string{"hello"}},

	// Lines and bytes of the head.
	{"bare LF between headers", "refuse", "GET /p/ID HTTP/1.1\r\nA: b\nHost: x.test\r\n\r\n", nil},
	{"bare LF everywhere", "refuse", "GET /p/ID HTTP/1.1\nHost: x.test\n\n", nil},
	{"bare LF at the end of the head", "refuse", get + "A: b\n\n" + stolen, nil},
	{"empty line with bare LF", "refuse", get + "\n" + stolen, nil},
	{"bare CR in a value", "refuse", get + "A: b\rc\r\n\r\n", nil},
	{"bare CR as end of line", "refuse", "GET /p/ID HTTP/1.1\rHost: x.test\r\r", nil},
	{"CR CR LF", "refuse", get + "A: b\r\r\n\r\n", nil},
	{"folded line", "refuse", get + "A: b\r\n c\r\n\r\n", nil},
	{"folded line with tab", "refuse", get + "A: b\r\n\tc: d\r\n\r\n", nil},
	{"folded first line", "refuse", "GET /p/ID HTTP/1.1\r\n Host: x.test\r\nHost: y.test\r\n\r\n", nil},
	{"NUL in a value", "refuse", get + "A: b\x00c\r\n\r\n", nil},
	{"NUL in a name", "refuse", get + "A\x00b: c\r\n\r\n", nil},
	{"control byte in a value", "refuse", get + "A: b\x01c\r\n\r\n", nil},
	{"DEL in a value", "refuse", get + "A: b\x7fc\r\n\r\n", nil},
	{"control byte in a name", "refuse", get + "A\x01b: c\r\n\r\n", nil},
	{"space before colon", "refuse", get + "A : b\r\n\r\n", nil},
	{"space in a name", "refuse", get + "A b: c\r\n\r\n", nil},
	{"tab in a name", "refuse", get + "A\tb: c\r\n\r\n", nil},
	{"empty name", "refuse", get + ": b\r\n\r\n", nil},
	{"no colon", "refuse", get + "A\r\n\r\n", nil},
	{"slash in a name", "refuse", get + "A/b: c\r\n\r\n", nil},
	{"bracket in a name", "refuse", get + "A(b): c\r\n\r\n", nil},
	{"byte over 127 in a name", "refuse", get + "\xc3\xa9: c\r\n\r\n", nil},
	{"byte over 127 in a value", "1", get + "A: \xc3\xa9\r\n\r\n", nil},
	{"empty lines before", "1", "\r\n\r\n" + get + "\r\n", nil},
	{"no end of the head", "refuse", get, nil},

	// The request line.
	{"two spaces", "refuse", "GET  /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"space in the target", "refuse", "GET /p/ID /q HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"space at the end", "refuse", "GET /p/ID HTTP/1.1 \r\nHost: x.test\r\n\r\n", nil},
	{"tabs", "refuse", "GET\t/p/ID\tHTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"leading space", "refuse", " GET /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"NUL in the target", "refuse", "GET /p/ID\x00 HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"control byte in the target", "refuse", "GET /p/ID\x01 HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"bare CR in the target", "refuse", "GET /p/ID\rx HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"fragment in the target", "deny", "GET /p/ID#x HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"no target", "refuse", "GET HTTP/1.1\r\nHost: x.test\r\nX: ID\r\n\r\n", nil},
	{"HTTP/0.9", "refuse", "GET /p/ID\r\n\r\n", nil},
	{"HTTP/0.9 with version", "refuse", "GET /p/ID HTTP/0.9\r\nHost: x.test\r\n\r\n", nil},
	{"HTTP/1.0 without host", "deny", "GET /p/ID HTTP/1.0\r\n\r\n", nil},
	{"HTTP/1.0", "1", "GET /p/ID HTTP/1.0\r\nHost: x.test\r\n\r\n" + stolen, nil},
	{"HTTP/1.0 kept alive", "2", "GET /p/ID HTTP/1.0\r\nHost: x.test\r\nConnection: keep-alive\r\n\r\n" + second, nil},
	{"HTTP/1.2", "refuse", "GET /p/ID HTTP/1.2\r\nHost: x.test\r\n\r\n", nil},
	{"HTTP/1.10", "refuse", "GET /p/ID HTTP/1.10\r\nHost: x.test\r\n\r\n", nil},
	{"HTTP/01.1", "refuse", "GET /p/ID HTTP/01.1\r\nHost: x.test\r\n\r\n", nil},
	{"HTTP/2.0", "refuse", "GET /p/ID HTTP/2.0\r\nHost: x.test\r\n\r\n", nil},
	{"http/1.1", "refuse", "GET /p/ID http/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"preface of HTTP/2", "refuse", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", nil},
	{"method in small letters", "1", "get /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", []string{"get /p/"}},
	{"unknown method", "1", "BREW /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", []string{"BREW /p/"}},
	{"method that is no token", "refuse", "G(T /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"huge method", "refuse", strings.Repeat("A", 10000) + " /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"connect", "refuse", "CONNECT x.test:80 HTTP/1.1\r\nHost: x.test:80\r\nX: ID\r\n\r\n" + stolen, nil},
	{"connect with a path", "refuse", "CONNECT /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n" + stolen, nil},
	{"trace", "refuse", "TRACE /p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"authority form", "refuse", "GET x.test:80 HTTP/1.1\r\nHost: x.test:80\r\nX: ID\r\n\r\n", nil},
	{"asterisk with GET", "refuse", "GET * HTTP/1.1\r\nHost: x.test\r\nX: ID\r\n\r\n", nil},
	{"asterisk with OPTIONS", "deny", "OPTIONS * HTTP/1.1\r\nHost: x.test\r\nX: ID\r\n\r\n", nil},
	{"relative target", "refuse", "GET p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"backslash target", "refuse", "GET \\p\\ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"absolute form", "1", "GET http://x.test/p/ID?q HTTP/1.1\r\nHost: x.test\r\n\r\n", []string{"GET /p/", "?q HTTP"}},
	{"absolute form of another host", "refuse", "GET http://y.test/p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"absolute form with user", "refuse", "GET http://x.test@y.test/p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"absolute form of another port", "refuse", "GET http://x.test:81/p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"absolute form of another scheme", "refuse", "GET file://x.test/p/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
	{"absolute form without host", "refuse", "GET http://x.test/p/ID HTTP/1.1\r\n\r\n", nil},

	// Host.
	{"no host", "refuse", "GET /p/ID HTTP/1.1\r\n\r\n", nil},
	{"empty host", "refuse", "GET /p/ID HTTP/1.1\r\nHost:\r\n\r\n", nil},
	{"host twice", "refuse", get + "Host: y.test\r\n\r\n", nil},
	{"host twice, equal", "refuse", get + "Host: x.test\r\n\r\n", nil},
	{"host list", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test, y.test\r\n\r\n", nil},
	{"host with space", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test y.test\r\n\r\n", nil},
	{"host with user", "refuse", "GET /p/ID HTTP/1.1\r\nHost: a@x.test\r\n\r\n", nil},
	{"host with path", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test/y\r\n\r\n", nil},
	{"host with query", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test?y\r\n\r\n", nil},
	{"host with two ports", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test:80:81\r\n\r\n", nil},
	{"host with a port that is none", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test:http\r\n\r\n", nil},
	{"host with escape", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x%2etest\r\n\r\n", nil},
	{"host with quote", "refuse", "GET /p/ID HTTP/1.1\r\nHost: x.test\"\r\n\r\n", nil},
	{"host space before colon", "refuse", get + "Host : y.test\r\n\r\n", nil},
	{"host of IPv6", "1", "GET /p/ID HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", []string{"Host: [::1]:8080"}},

	// Chunks.
	{"chunk size 0x5", "cut", chunks("0x5\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size +5", "cut", chunks("+5\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size -5", "cut", chunks("-5\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size empty", "cut", chunks("\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size 5_0", "cut", chunks("5_0\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size with space before", "cut", chunks(" 5\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size over 64 bits", "cut", chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size all ones", "cut", chunks("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size of 100 zeros", "cut", chunks(strings.Repeat("0", 100) + "5\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size with bare LF", "cut", chunks("5\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size with bare CR", "cut", chunks("5\rXhello\r\n0\r\n\r\n"), nil},
	{"chunk without its end", "cut", chunks("5\r\nhelloX0\r\n\r\n"), nil},
	{"chunk with bare LF at its end", "cut", chunks("5\r\nhello\n0\r\n\r\n"), nil},
	{"chunk longer than told", "cut", chunks("3\r\nhello\r\n0\r\n\r\n" + stolen), nil},
	{"chunk that does not come", "cut", chunks("ff\r\nhello"), nil},
	{"last chunk with bare LF", "cut", chunks("5\r\nhello\r\n0\n\n" + stolen), nil},
	{"no last chunk", "cut", chunks("5\r\nhello\r\n"), nil},
	{"no last line", "cut", chunks("5\r\nhello\r\n0\r\n"), nil},
	{"chunk extension", "1", chunks("5;name=value\r\nhello\r\n0;x\r\n\r\n"), []string{"hello", "!name=value"}},
	{"chunk extension, quoted", "1", chunks("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"), []string{"hello", "!b;c"}},
	{"chunk extension with bare LF", "cut", chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk extension that hides a request", "cut", chunks("5;\n" + stolen + "\r\nhello\r\n0\r\n\r\n"), nil},
	{"chunk size with spaces behind", "1", chunks("5 \r\nhello\r\n0\r\n\r\n"), []string{"hello"}},
	{"chunks of one byte", "1", chunks(strings.Repeat("1\r\nx\r\n", 500) + "0\r\n\r\n"), nil},
	{"chunks and a second request", "2", chunks("5\r\nhello\r\n0\r\n\r\n") + second, nil},
	{"trailer", "1", chunks("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), []string{"hello"}},
	{"trailer Content-Length", "cut", chunks("5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"), nil},
	{"trailer Transfer-Encoding", "cut", chunks("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), nil},
	{"trailer Host", "cut", chunks("5\r\nhello\r\n0\r\nHost: y.test\r\n\r\n"), nil},
	{"trailer Authorization", "cut", chunks("5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\n\r\n"), nil},
	{"trailer X-Forwarded-For", "cut", chunks("5\r\nhello\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"), nil},
	{"trailer X-User", "1", chunks("5\r\nhello\r\n0\r\nX-User: root\r\n\r\n"), []string{"!\r\nX-User: root"}},
	{"trailer that is none", "cut", chunks("5\r\nhello\r\n0\r\nGET /stolen/ID HTTP/1.1\r\n\r\n"), nil},
	{"trailer announced that is forbidden", "refuse", post + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n5\r\nhello\r\n0\r\n\r\n", nil},

	// Expect.
	{"expect", "1", post + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", []string{"hello", "!xpect"}},
	{"expect without a body", "1", get + "Expect: 100-continue\r\n\r\n", []string{"!xpect"}},
	{"expect, refused", "refuse", "POST /small/ID HTTP/1.1\r\nHost: x.test\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n" + stolen, nil},
	{"expect something else", "1", post + "Expect: tea\r\nContent-Length: 5\r\n\r\nhello", []string{"!xpect"}},
	{"expect with something behind", "1", post + "Expect: 100-continue, tea\r\nContent-Length: 5\r\n\r\nhello", []string{"!xpect"}},
	{"expect in HTTP/1.0", "1", "POST /p/ID HTTP/1.0\r\nHost: x.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", []string{"hello"}},
	{"expect and CL.TE", "refuse", post + "Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + stolen, nil},
	{"expect and a second request", "2", post + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" + second, nil},

	// Upgrade.
	{"upgrade to h2c", "1", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", []string{"!pgrade", "!HTTP2", "!Http2"}},
	{"upgrade to h2c in capitals", "1", get + "Connection: upgrade\r\nUpgrade: H2C\r\n\r\n", []string{"!pgrade"}},
	{"upgrade to h2c behind websocket", "1", get + "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", []string{"!pgrade"}},
	{"upgrade to TLS", "1", get + "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n", []string{"!pgrade"}},
	{"upgrade without connection", "1", get + "Upgrade: websocket\r\n\r\n", []string{"!pgrade"}},
	{"websocket with a wrong version, then a request", "2", socket + "Sec-WebSocket-Version: 777\r\n\r\n" + second, nil},
	{"websocket with POST", "1", strings.Replace(socket, "GET", "POST", 1) + "Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\n\r\nhello", []string{"!pgrade"}},
	{"websocket with CL", "1", socket + "Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\n\r\nhello", []string{"!pgrade", "hello"}},
	{"websocket with chunks", "1", socket + "Sec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"!pgrade"}},
	{"websocket in HTTP/1.0", "1", strings.Replace(socket, "HTTP/1.1", "HTTP/1.0", 1) + "Sec-WebSocket-Version: 13\r\n\r\n", []string{"!pgrade"}},
	{"101 that nobody asked for", "deny", "GET /always101/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", nil},
}
