package workers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// maxPreface is the longest preface or answer line in bytes.
const maxPreface = 4096

// preface is the first line of a remote connection, spec/frame.md section 10: headrace/1 VERB SECRET WORD…
type preface struct {
	verb   string // worker, get or put
	secret string
	words  []string
}

func (p preface) String() string {
	words := []string{"headrace/1", p.verb, p.secret}
	for _, w := range p.words {
		words = append(words, url.QueryEscape(w))
	}
	return strings.Join(words, " ") + "\n"
}

var arity = map[string]int{"worker": 2, "get": 1, "put": 3}

func parsePreface(line string) (p preface, err error) {
	words := strings.Split(line, " ")
	if len(words) < 3 || words[0] != "headrace/1" {
		return p, errors.New("not a preface of headrace/1")
	}
	p.verb, p.secret = words[1], words[2]
	n, known := arity[p.verb]
	if !known || len(words)-3 != n {
		return p, errors.New("unknown verb or wrong number of words")
	}
	for _, w := range words[3:] {
		w, err := url.QueryUnescape(w)
		if err != nil {
			return p, err
		}
		p.words = append(p.words, w)
	}
	return p, nil
}

// readLine reads up to a newline, which is not part of the answer. It reads byte by byte where r is not buffered, so nothing
// after the line is taken.
func readLine(r io.Reader) (string, error) {
	if b, ok := r.(*bufio.Reader); ok {
		return line(b)
	}
	return line(single{r})
}

type single struct{ io.Reader }

func (s single) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(s.Reader, b[:])
	return b[0], err
}

func line(r io.ByteReader) (string, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		if line = append(line, b); len(line) > maxPreface {
			return "", errors.New("line too long")
		}
	}
}

// answer is the line that comes back: ok and words, or a code and a text.
func answer(w io.Writer, words ...any) error {
	_, err := io.WriteString(w, strings.TrimSpace("ok "+fmt.Sprintln(words...))+"\n")
	return err
}

func refuse(w io.Writer, p *problem.Error) {
	_, _ = io.WriteString(w, p.Code+" "+strings.ReplaceAll(p.What, "\n", " ")+"\n")
}

// accepted reads the answer; the words after ok, or the problem that was sent.
func accepted(r io.Reader) ([]string, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	word, rest, _ := strings.Cut(line, " ")
	if word == "ok" {
		return strings.Fields(rest), nil
	}
	if _, known := problem.Catalogue()[word]; known {
		return nil, problem.New(word, "%s", rest)
	}
	return nil, fmt.Errorf("the server answered %s", strconv.Quote(line))
}
