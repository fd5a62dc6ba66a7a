package control

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headrace/headrace/internal/control/serverapi"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// commandTime bounds a command of the server API.
const commandTime = 30 * time.Second

// liveOn is HR3018 without a live plane, and HR1003 for a body where none is needed.
func (s *Server) liveOn(r *exchange.Request) error {
	if s.Live == nil {
		return problem.New("HR3018", "the configuration has no section live")
	}
	return needsNone(r)
}

// admitLive lets a body in that is JSON for the live plane.
func (s *Server) admitLive(r *exchange.Request) error {
	if s.Live == nil {
		return s.liveOn(r)
	}
	return s.admitJSON(r)
}

// admitJSON lets a body in that is JSON.
func (s *Server) admitJSON(r *exchange.Request) error {
	if !r.IsJSON() {
		return problem.New("HR1008", "the body is %.80q", r.Media()).Hinting("send application/json")
	}
	return s.fitsJSON(r)
}

// fitsJSON bounds a body that is read into memory.
func (s *Server) fitsJSON(r *exchange.Request) error {
	r.LimitedBy("server.max_json, or send large values as blobs")
	return r.Fits(int64(s.Config.Server.MaxJSON))
}

// fitsBlob bounds a body that goes to the disk.
func (s *Server) fitsBlob(r *exchange.Request) error {
	r.LimitedBy("admin.max_body")
	return r.Fits(int64(s.Config.Admin.MaxBody))
}

// command answers a command of Centrifugo's server API: 200 even where it is refused, unless the client asks for the status of the error.
func (s *Server) command(name string) func(*exchange.Request) error {
	return func(r *exchange.Request) error {
		body, err := r.Body(int64(s.Config.Server.MaxJSON))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.Running(), commandTime)
		defer cancel()
		answer, err := s.api.Do(ctx, name, body)
		if err != nil {
			return err
		}
		if answer.Error == nil || string(r.Request.Header.Peek("X-Centrifugo-Error-Mode")) != "transport" {
			return encode(r, answer)
		}
		text, err := json.Marshal(answer.Error)
		if err != nil {
			return err
		}
		r.JSON(answer.Error.Status(), text)
		return nil
	}
}

func (s *Server) batch(r *exchange.Request) error {
	body, err := r.Body(int64(s.Config.Server.MaxJSON))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Running(), commandTime)
	defer cancel()
	replies, err := s.api.Batch(ctx, body)
	if err != nil {
		return err
	}
	return encode(r, replies)
}

// newAPI is the server API on the live plane; it answers nothing while that is off.
func (s *Server) newAPI() *serverapi.API {
	return &serverapi.API{Live: s.Live, Node: s.Config.Node, Depth: s.depth, Log: s.Log}
}
