package control

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

const (
	tailWaiting = 4096                   // lines that may wait for one reader of a tail
	tailLook    = 500 * time.Millisecond // between two looks whether lines were missed
)

// reload reads the configuration again; the answer is the keys that changed, or why it is refused.
func (s *Server) reload(r *exchange.Request) error {
	if s.Reload == nil {
		return problem.New("HR7002", "this node does not read its configuration again")
	}
	taken, kept, err := s.Reload(r.Running())
	if err != nil {
		return err
	}
	told := map[string][]string{"changed": {}, "restart": {}}
	told["changed"] = append(told["changed"], taken...)
	told["restart"] = append(told["restart"], kept...)
	return encode(r, told)
}

// listRoutes tells the routes of the public listener, in the order of declaration.
func (s *Server) listRoutes(r *exchange.Request) error {
	list := s.Edge.Routes()
	if list == nil {
		list = []edge.Route{}
	}
	return encode(r, map[string]any{"routes": list})
}

// testRoute tells which route answers ?method and ?url, with headers ?header=Name:value, and why no other does.
func (s *Server) testRoute(r *exchange.Request) error {
	headers := map[string]string{}
	for _, text := range r.QueryArgs().PeekMulti("header") {
		name, value, ok := strings.Cut(string(text), ":")
		if !ok {
			return problem.New("HR2019", "header %.80q has no colon", text).At("header").Hinting("write header=Name:value")
		}
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	q, err := query(r, "method", "url", "header")
	if err != nil {
		return err
	}
	e, err := s.Edge.Explain(strings.ToUpper(q["method"]), q["url"], headers)
	if err != nil {
		return err
	}
	told := struct {
		*edge.Explanation
		Code   string `json:"code,omitempty"`
		Reason string `json:"reason,omitempty"`
	}{Explanation: e}
	if e.Problem != nil {
		told.Code, told.Reason = e.Problem.Code, e.Problem.What
	}
	return encode(r, told)
}

// tailRoutes tells every request of the public listener as a server-sent event, the lines of the access log; missed where the reader is too slow.
func (s *Server) tailRoutes(r *exchange.Request) error {
	q, err := query(r, "route", "status")
	if err != nil {
		return err
	}
	least := 0
	if text := q["status"]; text != "" {
		if least, err = strconv.Atoi(text); err != nil || least < 100 || least > 599 {
			return problem.New("HR2019", "status %.40q is not a status", text).At("status").Hinting("write the least status to tell of, as in 400")
		}
	}
	wanted := func(line []byte) bool { return tells(line, q["route"], least) }
	r.EventStream(func(ctx context.Context, send func(kind string, data []byte) error) {
		f := s.Edge.Follow(tailWaiting)
		defer f.Close()
		look := time.NewTicker(tailLook)
		defer look.Stop()
		err := send("open", []byte("{}"))
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case line := <-f.Lines:
				if wanted(line) {
					err = send("request", line)
				}
			case <-look.C:
				if n := f.Missed.Swap(0); n > 0 {
					err = send("missed", []byte(`{"count":`+strconv.FormatUint(n, 10)+`}`))
				}
			}
		}
	})
	return nil
}

// tells tells whether a line is of the route, "" being any, and has at least this status.
func tells(line []byte, route string, least int) bool {
	if route == "" && least == 0 {
		return true
	}
	var told struct {
		Route  string
		Status int
	}
	return json.Unmarshal(line, &told) == nil && (route == "" || told.Route == route) && told.Status >= least
}
