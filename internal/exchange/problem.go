package exchange

import (
	"strconv"

	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/problem"
)

// ErrorPage is the address that the type of a problem begins with.
const ErrorPage = "https://headrace.dev/errors/"

// appendProblem writes a problem as RFC 9457 has it, with the members code, where and hint beside.
func appendProblem(b []byte, p *problem.Error) []byte {
	b = append(b, `{"type":"`+ErrorPage...)
	b = append(b, p.Code...)
	b = append(b, `","title":`...)
	b = strictjson.AppendText(b, p.Title())
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(p.Status()), 10)
	b = append(b, `,"code":"`...)
	b = append(b, p.Code...)
	b = append(b, `","detail":`...)
	b = strictjson.AppendText(b, p.What)
	if p.Where != "" {
		b = append(b, `,"where":`...)
		b = strictjson.AppendText(b, p.Where)
	}
	b = append(b, `,"hint":`...)
	b = strictjson.AppendText(b, p.Hint)
	return append(b, '}')
}

// AppendProblem writes what Problem answers with.
func AppendProblem(b []byte, err error) []byte { return appendProblem(b, problem.From(err)) }
