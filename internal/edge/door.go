package edge

import (
	"context"
	"fmt"
	"unique"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// door leads from a route to a function.
type door struct {
	server *Server
	fn     *functions.Function
	shape  exchange.Shape
	params []string // arguments that the path holds, in their order
}

// fits bounds the body before it is read.
func (d *door) fits(r *exchange.Request) error {
	if r.Media() == "multipart/form-data" {
		return r.Fits(int64(d.server.Config.Server.MaxBody))
	}
	r.LimitedBy("server.max_json, or send large values as files")
	return r.Fits(int64(d.server.Config.Server.MaxJSON))
}

func (d *door) admitJob(r *exchange.Request) error {
	if err := d.fits(r); err != nil {
		return err
	}
	return d.server.planes.Enqueueable(d.fn, "")
}

func (d *door) admitCall(r *exchange.Request) error {
	if err := d.fits(r); err != nil {
		return err
	}
	return exchange.Callable(d.fn)
}

// arguments are those of the body, or of the query where the method has no body, and those of the path.
func (d *door) arguments(r *exchange.Request) ([]byte, error) {
	depth := d.server.Config.Server.JSONDepth
	var body []byte
	if r.IsGet() || r.IsHead() || r.IsDelete() {
		names, texts := []string{}, map[string][]string{}
		for name, value := range r.QueryArgs().All() {
			n := string(name)
			if texts[n] == nil {
				names = append(names, n)
			}
			texts[n] = append(texts[n], string(value))
		}
		body = []byte{'{'}
		for _, name := range names {
			body = d.append(body, name, texts[name], depth)
		}
		body = append(body, '}')
	} else {
		var err error
		if body, err = d.server.planes.Arguments(r, d.fn, int64(d.server.Config.Server.MaxBody)); err != nil {
			return nil, err
		}
	}
	if len(d.params) == 0 {
		return body, nil
	}
	scan := strictjson.New(body, depth)
	err := scan.Object(func(key []byte) error {
		for _, name := range d.params {
			if name == string(key) {
				return problem.New("HR2002", "%s: %s is given by the path and again", d.fn.Name, name).At("/args/" + name)
			}
		}
		_, err := scan.Value()
		return err
	})
	if err != nil {
		return nil, err
	}
	args := []byte{'{'}
	for i, name := range d.params {
		args = d.append(args, name, []string{string(r.Params[i])}, depth)
	}
	if rest := trimObject(body); len(rest) > 1 {
		return append(append(args, ','), rest...), nil
	}
	return append(args, '}'), nil
}

// append writes one more member of an object.
func (d *door) append(b []byte, name string, texts []string, depth int) []byte {
	if len(b) > 1 {
		b = append(b, ',')
	}
	return d.shape.Append(append(strictjson.AppendText(b, name), ':'), name, texts, depth)
}

// trimObject is an object without its opening brace and the space after it.
func trimObject(b []byte) []byte {
	for b = b[1:]; b[0] == ' ' || b[0] == '\n' || b[0] == '\r' || b[0] == '\t'; {
		b = b[1:]
	}
	return b
}

// call answers with what the function returns.
func (d *door) call(r *exchange.Request) error {
	args, err := d.arguments(r)
	if err != nil {
		return err
	}
	return d.server.planes.Call(r, d.fn, args, 0)
}

// job enqueues and answers 202 with links that need no more than their token.
func (d *door) job(r *exchange.Request) error {
	args, err := d.arguments(r)
	if err != nil {
		return err
	}
	request := jobs.Request{Function: d.fn.Name, Args: args, Trace: r.Traceparent()}
	caller := r.Caller(&d.server.Config.Server)
	if r.Identity != nil {
		request.Caller = unique.Make(caller)
	}
	if key := r.Request.Header.Peek("Idempotency-Key"); len(key) > 0 {
		request.Idempotency = d.fn.Name + "/" + string(key)
		if r.Identity != nil { // another user's key is another key; no header has a zero byte
			request.Idempotency += "\x00" + caller.Method + "\x00" + caller.User
		}
		request.BodyHash = xxhash.Sum64(append([]byte(d.fn.Name), functions.Canonical(args)...))
	}
	receipts, err := d.server.Jobs.Enqueue(context.Background(), []jobs.Request{request})
	if err == nil {
		err = receipts[0].Err
	}
	if err != nil {
		return err
	}
	receipt := &receipts[0]
	token := d.server.key.token(receipt.ID, d.server.Config.Server.FollowTTL)
	id := receipt.ID.String()
	duplicate := ""
	if receipt.Duplicate {
		duplicate = `,"duplicate":true`
	}
	r.JSON(fasthttp.StatusAccepted, fmt.Appendf(nil, `{"id":"%s","state":"%s","durability":"%s"%s,"follow":"/jobs/%[1]s/events?token=%[5]s","links":%[6]s}`,
		id, receipt.State, d.server.Engine.Durability(), duplicate, token, links(id, token)))
	r.Response.Header.Set("Location", "/jobs/"+id+"?token="+token)
	return nil
}

// links are the pages of a job.
func links(id, token string) string {
	return fmt.Sprintf(`{"self":"/jobs/%[1]s?token=%[2]s","events":"/jobs/%[1]s/events?token=%[2]s","result":"/jobs/%[1]s/result?token=%[2]s","cancel":"/jobs/%[1]s/cancel?token=%[2]s"}`, id, token)
}
