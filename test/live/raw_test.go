package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// raw is a WebSocket that says what a test wants.
type raw struct {
	testing.TB
	*websocket.Conn
	pending [][]byte
}

// open makes the handshake and nothing more.
func open(t testing.TB, s *server, path string, protocols ...string) *raw {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: protocols}
	c, _, err := d.Dial(s.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return &raw{TB: t, Conn: c}
}

// hello opens a connection in JSON and connects.
func hello(t testing.TB, s *server, user string) *raw {
	t.Helper()
	c := open(t, s, "/websocket")
	c.say(`{"id":1,"connect":{"token":"` + token(t, user, nil) + `"}}`)
	if r := c.reply(); r.Connect == nil {
		t.Fatalf("connect: %+v", r)
	}
	return c
}

func (c *raw) say(text string) {
	c.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.Fatal(err)
	}
}

// answer is a reply or a push, as far as tests look at it.
type answer struct {
	ID    uint32
	Error struct {
		Code      uint32
		Message   string
		Temporary bool
	}
	Connect   *json.RawMessage
	Subscribe *struct {
		Recovered, Delta bool
		Expires          bool
		Offset           uint64
		Epoch            string
		Publications     []publication
	}
	Publish *json.RawMessage
	Refresh *json.RawMessage
	History *struct {
		Publications []publication
		Offset       uint64
		Epoch        string
	}
	Push *struct {
		Channel     string
		Pub         *publication
		Unsubscribe *struct{ Code uint32 }
		Disconnect  *struct{ Code uint32 }
	}
}

type publication struct {
	Data   json.RawMessage
	Offset uint64
	Delta  bool
	Key    string
}

// next is the next reply or push that is no ping, or how the connection ended.
func (c *raw) next() (answer, error) {
	for {
		for len(c.pending) > 0 {
			line := c.pending[0]
			if c.pending = c.pending[1:]; len(line) > 2 {
				var a answer
				return a, json.Unmarshal(line, &a)
			}
			if string(line) == "{}" {
				_ = c.WriteMessage(websocket.TextMessage, []byte("{}"))
			}
		}
		_, frame, err := c.ReadMessage()
		if err != nil {
			return answer{}, err
		}
		c.pending = bytes.Split(frame, []byte("\n"))
	}
}

// reply is the next reply; pushes before it are left out.
func (c *raw) reply() answer {
	c.Helper()
	for {
		a, err := c.next()
		if err != nil {
			c.Fatal(err)
		}
		if a.ID != 0 {
			return a
		}
	}
}

// push is the next publication.
func (c *raw) push() publication {
	c.Helper()
	for {
		a, err := c.next()
		if err != nil {
			c.Fatal(err)
		}
		if a.Push != nil && a.Push.Pub != nil {
			return *a.Push.Pub
		}
	}
}

// closed is the code with which the connection ends, or that of the next error reply.
func (c *raw) closed() int {
	c.Helper()
	for {
		a, err := c.next()
		var end *websocket.CloseError
		switch {
		case errors.As(err, &end):
			return end.Code
		case err != nil:
			c.Log(err)
			return -1
		case a.Error.Code != 0:
			return int(a.Error.Code)
		}
	}
}

// status is that of a plain HTTP request.
func status(t testing.TB, method, url, body string, header http.Header) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
