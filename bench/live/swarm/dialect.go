package swarm

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// dialect is what a client says and understands above WebSocket. hello is what it says first, "" to wait for the server; message
// handles one message of the server. A client calls ready once it is subscribed.
type dialect interface {
	hello(s *swarm, c *client) string
	message(s *swarm, c *client, text []byte) error
}

// Dialects by name.
const (
	Plain      = "plain"      // every message is a publication
	Centrifuge = "centrifuge" // JSON
	SocketIO   = "socket.io"  // Engine.IO 4, Socket.IO 5
)

var dialects = map[string]dialect{Plain: plain{}, Centrifuge: centrifuge{}, SocketIO: socketIO{}}

type plain struct{}

func (plain) hello(s *swarm, c *client) string { s.ready(c); return "" }

func (plain) message(s *swarm, c *client, text []byte) error { return s.publications(c, text) }

type centrifuge struct{}

func (centrifuge) hello(s *swarm, c *client) string {
	if token := s.token(c); token != "" {
		return `{"id":1,"connect":{"token":"` + token + `"}}`
	}
	return `{"id":1,"connect":{}}`
}

func (centrifuge) message(s *swarm, c *client, text []byte) error {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		switch {
		case bytes.HasPrefix(line, []byte(`{"push":{`)):
			if err := s.publications(c, line); err != nil {
				return err
			}
		case bytes.Equal(line, []byte("{}")): // a ping
			if err := s.say(c, "{}"); err != nil {
				return err
			}
		case len(line) == 0:
		case bytes.Contains(line, []byte(`"error":{`)):
			return fmt.Errorf("the server answered %.300s", line)
		case bytes.HasPrefix(line, []byte(`{"id":1,`)):
			subscribe := `{"id":2,"subscribe":{"channel":"` + s.plan.Channel + `"`
			if s.plan.Recover && c.was {
				subscribe += fmt.Sprintf(`,"recover":true,"epoch":%q,"offset":%d`, s.epoch, s.base+uint64(c.seen))
			}
			if err := s.say(c, subscribe+"}}"); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte(`{"id":2,`)):
			if err := subscribed(s, c, line); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the server said %.300s", line)
		}
	}
	return nil
}

// subscribed handles the answer to subscribe, which holds the publications that the client missed.
func subscribed(s *swarm, c *client, line []byte) error {
	if s.plan.Recover {
		switch {
		case c.was && !bytes.Contains(line, []byte(`"recovered":true`)):
			s.tally.Unrecovered++
		case !c.was && s.epoch == "":
			_, rest, _ := bytes.Cut(line, []byte(`"epoch":"`))
			epoch, _, _ := bytes.Cut(rest, []byte(`"`))
			s.epoch = string(epoch)
			if at := bytes.LastIndex(line, []byte(`"offset":`)); at >= 0 {
				top, _ := number(line[at+len(`"offset":`):])
				s.base = top - uint64(s.plan.Seen)
			}
		}
	}
	if !s.plan.Offsets { // else the offset of the channel would be taken for that of a publication
		if err := s.publications(c, line); err != nil {
			return err
		}
	}
	s.ready(c)
	return nil
}

type socketIO struct{}

func (socketIO) hello(*swarm, *client) string { return "" } // Engine.IO speaks first

func (socketIO) message(s *swarm, c *client, text []byte) error {
	switch message := string(text[:min(len(text), 2)]); {
	case message == "42":
		if s.plan.Recover { // the offset is the last argument: …,"offset"]
			if parts := bytes.Split(text, []byte(`"`)); len(parts) > 2 && len(parts[len(parts)-1]) == 1 {
				s.session(c).offset = string(parts[len(parts)-2])
			}
		}
		return s.publications(c, text)
	case message == "2": // a ping
		return s.say(c, "3")
	case message[0] == '0':
		var auth []string
		if token := s.token(c); token != "" {
			auth = append(auth, `"token":"`+token+`"`)
		}
		if session := s.sessions[c.slot]; s.plan.Recover && session != nil && session.pid != "" {
			auth = append(auth, `"pid":"`+session.pid+`"`, `"offset":"`+session.offset+`"`)
		}
		if auth == nil {
			return s.say(c, "40")
		}
		return s.say(c, "40{"+strings.Join(auth, ",")+"}")
	case message == "40":
		if s.plan.Recover {
			_, rest, _ := bytes.Cut(text, []byte(`"pid":"`))
			pid, _, _ := bytes.Cut(rest, []byte(`"`))
			session := s.session(c)
			if session.pid == string(pid) { // recovered: the rooms are as they were, what was missed follows
				s.ready(c)
				return nil
			}
			if c.was {
				s.tally.Unrecovered++
			}
			session.pid, session.offset = string(pid), ""
		}
		return s.say(c, `420["subscribe","`+s.plan.Channel+`"]`)
	case message == "43":
		s.ready(c)
		return nil
	default:
		return fmt.Errorf("the server said %.300s", text)
	}
}

// publications counts what a message carries.
func (s *swarm) publications(c *client, text []byte) error {
	mark := s.mark
	for {
		at := bytes.Index(text, mark)
		if at < 0 {
			return nil
		}
		text = text[at+len(mark):]
		n, digits := number(text)
		if digits == 0 || n > 1<<31 {
			return fmt.Errorf("a publication without number: %.300s", text)
		}
		if s.plan.Delays && bytes.HasPrefix(text[digits:], []byte(`,"at":`)) {
			at, _ := number(text[digits+len(`,"at":`):])
			s.delay(at)
		}
		s.got(c, uint32(n))
	}
}

// Payload is the data of publication n, of about size bytes: at is Now when it was due.
func Payload(n, size int, at int64) string {
	text := `{"n":` + strconv.Itoa(n) + `,"at":` + strconv.FormatInt(at, 10) + `,"text":"`
	return text + strings.Repeat("x", max(0, size-len(text)-2)) + `"}`
}

// number reads the digits that b begins with.
func number(b []byte) (n uint64, digits int) {
	for digits < len(b) && digits < 19 && b[digits] >= '0' && b[digits] <= '9' {
		n = n*10 + uint64(b[digits]-'0')
		digits++
	}
	return n, digits
}
