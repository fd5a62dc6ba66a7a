package merge

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/problem"
)

// reply is what a part answered.
type reply struct {
	response *fasthttp.Response // nil of a function
	status   int
	body     []byte
}

func (a *reply) release() {
	if a.response != nil {
		fasthttp.ReleaseResponse(a.response)
	}
	*a = reply{}
}

func (a *reply) header(name string) string {
	if a.response == nil {
		return ""
	}
	return string(a.response.Header.Peek(name))
}

// question is what one part is asked. It holds nothing of the request, which may be over before the answer comes.
type question struct {
	part     *part
	path     []byte
	body     []byte
	shared   *shared
	hash     uint64
	deadline time.Time

	tried  []*balance.Target // that have failed
	target *balance.Target   // that is asked
	begun  time.Time
	call   upstream.Call // over HTTP/1.1
	sent   bool          // before anybody waits for the answer
}

// errLarge is an answer over max_part.
var errLarge = errors.New("the answer is too large")

// begin picks a target, which has its question at once if a connection is kept, and waits for nothing. ask or another end has to follow.
func (q *question) begin() (told, cause error) {
	target, err := q.part.upstream.Pick(&balance.Pick{Hash: q.hash, Tried: q.tried})
	if err != nil {
		return q.unanswered(err), err
	}
	q.target, q.begun = target, time.Now()
	target.Begin()
	q.sent = false
	if !q.h2() {
		q.call = q.compose(target)
		q.sent = target.Client().Send(&q.call)
	}
	return nil, nil
}

func (q *question) h2() bool { return q.part.upstream.Config().Protocol == "h2" }

func (q *question) unanswered(err error) error {
	return problem.New("HR4085", "%s: %s", q.part.title, problem.From(err).Title())
}

// prompt tells whether the answer begins within the time.
func (q *question) prompt(most time.Duration) bool { return q.target.Client().Await(&q.call, most) }

// ask gives the answer of the part after begin, whatever its status is. The error is a problem without addresses, and the cause for the log.
func (q *question) ask(m *Merge) (reply, error, error) {
	if q.part.call != "" {
		return q.run(m)
	}
	p := q.part
	for attempt := 1; ; attempt++ {
		answer, err := q.send(m)
		again := attempt < p.retry.attempts && p.retry.after(err, answer.status, p.method) && time.Until(q.deadline) > 0 && p.upstream.MayRetry()
		if !again {
			return answer, q.failure(err), err
		}
		answer.release()
		q.tried = append(q.tried, q.target)
		if err, cause := q.begin(); err != nil {
			return reply{}, err, cause
		}
	}
}

func (q *question) run(m *Merge) (reply, error, error) {
	ctx, cancel := context.WithDeadline(context.Background(), q.deadline)
	defer cancel()
	result, err := m.deps.Call(ctx, q.part.call, q.body, q.shared.caller)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return reply{}, problem.New("HR4086", "%s did not answer in time", q.part.title), err
	case refused(err):
		return reply{}, err, err
	case err != nil:
		return reply{}, q.unanswered(err), err
	case int64(len(result)) > m.most:
		return reply{}, problem.New("HR4087", "the answer of %s is larger than %d bytes", q.part.title, m.most), errLarge
	}
	return reply{status: fasthttp.StatusOK, body: result}, nil, nil
}

// refused tells whether a function answered that the request is wrong: an argument does not fit, or it says so itself. Other errors, of 4xx too, are
// about how it was called.
func refused(err error) bool {
	if err == nil {
		return false
	}
	p := problem.From(err)
	return (p.Code == "HR2002" || p.Code == "HR2020") && p.Status() >= 400 && p.Status() <= 499
}

func (q *question) failure(err error) error {
	var e *upstream.Error
	switch {
	case err == nil:
		return nil
	case err == errLarge:
		return problem.New("HR4087", "the answer of %s is larger than max_part", q.part.title)
	case errors.As(err, &e) && e.Timeout, errors.Is(err, context.DeadlineExceeded):
		return problem.New("HR4086", "%s did not answer in time", q.part.title)
	}
	return problem.New("HR4085", "%s gave no answer", q.part.title)
}

// send asks the target.
func (q *question) send(m *Merge) (answer reply, err error) {
	if q.h2() {
		answer, err = q.sendH2(m)
	} else {
		answer, err = q.sendH1(m)
	}
	q.target.End(err != nil && err != errLarge, answer.status, time.Since(q.begun))
	if err != nil {
		answer.release()
	}
	return answer, err
}

func (q *question) compose(target *balance.Target) upstream.Call {
	head := make([]byte, 0, 64+len(q.path)+len(q.shared.lines))
	head = append(append(append(head, q.part.method...), ' '), q.path...)
	head = append(append(append(head, " HTTP/1.1\r\nHost: "...), target.URL().Host...), "\r\n"...)
	head = append(head, q.shared.lines...)
	if q.body != nil {
		head = append(head, "Content-Type: application/json\r\n"...)
	}
	return upstream.Call{Head: head, Method: q.part.method, Whole: q.body, Deadline: q.deadline}
}

func (q *question) sendH1(m *Merge) (answer reply, err error) {
	call := &q.call
	answer.response = fasthttp.AcquireResponse()
	if err := q.target.Client().Do(call, answer.response); err != nil {
		return answer, err
	}
	answer.status = answer.response.StatusCode()
	switch {
	case call.Tunnel != nil:
		_ = call.Tunnel.Close()
		return answer, errors.New("the target changed the protocol")
	case call.Stream != nil:
		answer.body, err = q.read(m, call.Stream, call.Size)
		_ = call.Stream.Close()
	default:
		if answer.body = answer.response.Body(); int64(len(answer.body)) > m.most {
			err = errLarge
		}
	}
	return answer, err
}

// read reads a body of at most max_part.
func (q *question) read(m *Merge, from io.Reader, size int64) ([]byte, error) {
	if size > m.most {
		return nil, errLarge
	}
	into := make([]byte, 0, max(size, 512))
	for {
		n, err := from.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		switch {
		case int64(len(into)) > m.most:
			return nil, errLarge
		case err == io.EOF:
			return into, nil
		case err != nil:
			return nil, err
		case len(into) == cap(into):
			into = slices.Grow(into, len(into))
		}
	}
}

// repetition says when a part is asked once more.
type repetition struct {
	attempts                int
	connect, reset, timeout bool
	status                  []int
	methods                 []string
}

func newRepetition(c *config.Upstream) repetition {
	r := repetition{attempts: c.Retry.Attempts, methods: c.Retry.Methods}
	for _, on := range c.Retry.On {
		switch n, err := strconv.Atoi(on); {
		case err == nil:
			r.status = append(r.status, n)
		case on == "connect":
			r.connect = true
		case on == "reset":
			r.reset = true
		case on == "timeout":
			r.timeout = true
		}
	}
	return r
}

func (r *repetition) after(err error, status int, method []byte) bool {
	twice := slices.Contains(r.methods, string(method))
	if err == nil {
		return twice && slices.Contains(r.status, status)
	}
	var e *upstream.Error
	switch {
	case !errors.As(err, &e), e.Malformed, e.Stage == upstream.Body, e.Stage == upstream.Busy:
		return false
	case !e.Sent:
		return r.connect
	case e.Timeout:
		return twice && r.timeout
	}
	return twice && r.reset
}

// unexpected is a status that is no answer.
func unexpected(title string, status int) error {
	return problem.New("HR4085", "%s answered with status %d", title, status)
}
