package live

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/live/wire"
)

// stream is a response that does not end.
type stream struct {
	testing.TB
	*http.Response
	in *bufio.Reader
}

func (r *rig) stream(method, path, body, media string, headers ...string) *stream {
	r.Helper()
	request, _ := http.NewRequestWithContext(r.Context(), method, "http://"+r.addr+"/live"+path, strings.NewReader(body))
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	request.Header.Set("Origin", "http://"+r.addr)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = response.Body.Close() })
	return &stream{r.TB, response, bufio.NewReader(response.Body)}
}

// line is the next message; pings are left out.
func (s *stream) line() string {
	s.Helper()
	for {
		text, err := s.in.ReadString('\n')
		if err != nil {
			s.Fatal(err)
		}
		text = strings.TrimPrefix(strings.TrimSpace(text), "data: ")
		if text != "" && text != "{}" {
			return text
		}
	}
}

func (s *stream) reply() *protocol.Reply {
	s.Helper()
	r := &protocol.Reply{}
	if err := json.Unmarshal([]byte(s.line()), r); err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *stream) push() *protocol.Push {
	s.Helper()
	p := &protocol.Push{}
	if err := json.Unmarshal([]byte(s.line()), p); err != nil {
		s.Fatal(err)
	}
	return p
}

func (r *rig) emulate(hello *protocol.ConnectResult, commands string) int {
	r.Helper()
	body, _ := json.Marshal(map[string]string{"session": hello.Session, "node": hello.Node, "data": commands})
	response, err := http.Post("http://"+r.addr+"/live/emulation", "application/json", bytes.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestEmulated(t *testing.T) {
	r := newRig(t, nil, nil)
	connect := `{"id":1,"connect":{}}`
	for name, open := range map[string]func() *stream{
		"sse":         func() *stream { return r.stream("GET", "/sse?cf_connect="+url.QueryEscape(connect), "", "") },
		"sse post":    func() *stream { return r.stream("POST", "/sse", connect, "") },
		"http_stream": func() *stream { return r.stream("POST", "/http_stream", connect, "application/json") },
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			if s.StatusCode != 200 || s.Header.Get("Access-Control-Allow-Origin") != "http://"+r.addr {
				t.Fatal(s.Status, s.Header)
			}
			hello := s.reply().Connect
			if hello == nil || hello.Session == "" || hello.Node == "" {
				t.Fatal(hello)
			}
			if status := r.emulate(hello, `{"id":2,"subscribe":{"channel":"a"}}`+"\n"+`{"id":3,"publish":{"channel":"a","data":{"x":1}}}`); status != 204 {
				t.Fatal(status)
			}
			got := []*protocol.Reply{s.reply(), s.reply(), s.reply()}
			if got[0].Subscribe == nil || got[1].Publish == nil || got[2].Push == nil || string(got[2].Push.Pub.Data) != `{"x":1}` {
				t.Fatal(got)
			}
			guessed := &protocol.ConnectResult{Node: hello.Node, Session: hello.Session[:32] + strings.Repeat("0", 32)}
			if status := r.emulate(guessed, `{"id":4,"rpc":{}}`); status != 404 {
				t.Error(status)
			}
			if status := r.emulate(hello, "nonsense"); status != 204 {
				t.Error(status)
			}
			if push := s.reply().Push; push == nil || push.Disconnect.GetCode() != 3501 {
				t.Error(push)
			}
			if _, err := io.ReadAll(s.in); err != nil {
				t.Error(err)
			}
		})
	}
	if s := r.stream("POST", "/http_stream", "", ""); s.StatusCode != 400 {
		t.Error(s.Status)
	}
}

func TestProtobufStream(t *testing.T) {
	r := newRig(t, nil, nil)
	command, _ := (&protocol.Command{Id: 1, Connect: &protocol.ConnectRequest{}}).MarshalCF()
	s := r.stream("POST", "/http_stream", string(append([]byte{byte(len(command))}, command...)), "application/octet-stream")
	size, _ := binary.ReadUvarint(s.in)
	b := make([]byte, size)
	_, _ = io.ReadFull(s.in, b)
	reply := &protocol.Reply{}
	if err := reply.UnmarshalCF(b); err != nil || reply.Connect == nil {
		t.Fatal(err, reply)
	}
}

func TestOneWay(t *testing.T) {
	r := newRig(t, nil, nil)
	s := r.stream("GET", "/uni_sse?channels=a,b", "", "")
	if push := s.push(); push.Connect == nil || s.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatal(push, s.Header)
	}
	for _, channel := range []string{"a", "b"} {
		if push := s.push(); push.Subscribe == nil || push.Channel != channel {
			t.Fatal(push)
		}
	}
	if _, err := r.Publish(t.Context(), "b", []byte(`"x"`), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if push := s.push(); push.Channel != "b" || string(push.Pub.Data) != `"x"` {
		t.Fatal(push)
	}
	claims := token(t, map[string]any{"sub": "42", "channels": []string{"c"}})
	s = r.stream("GET", "/uni_sse?cf_connect="+url.QueryEscape(fmt.Sprintf(`{"token":%q}`, claims)), "", "")
	if push := s.push(); push.Connect == nil || push.Connect.Subs["c"] == nil {
		t.Fatal(push)
	}
	s = r.stream("GET", "/uni_sse?channels=shut:a", "", "")
	_ = s.push()
	if push := s.push(); push.Disconnect.GetCode() != 3507 {
		t.Fatal(push)
	}
	for _, open := range []func() *peer{
		func() *peer { return r.peer("/uni_websocket?channels=d") },
		func() *peer {
			p := r.peer("/uni_websocket")
			p.send(fmt.Sprintf(`{"token":%q}`, token(t, map[string]any{"sub": "1", "channels": []string{"d"}})))
			return p
		},
	} {
		p := open()
		if text, err := p.frame(); err != nil || !strings.HasPrefix(text, `{"connect":{`) {
			t.Fatal(text, err)
		}
		for text := ""; !strings.Contains(text, `"pub"`); {
			if _, err := r.Publish(t.Context(), "d", []byte(`1`), PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			var err error
			if text, err = p.frame(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A one-way WebSocket with its channels in the address may show its token in the first message, where nobody is let in without.
func TestOneWayTokenInMessage(t *testing.T) {
	r := newRig(t, func(c *config.Live) {
		c.Anonymous, c.AuthTimeout = false, 500*time.Millisecond
		c.Channels.Subscribe = `user == "ann"`
	}, nil)
	for message, want := range map[string]int{
		fmt.Sprintf(`{"token":%q}`, token(t, map[string]any{"sub": "ann"})):             0,
		fmt.Sprintf(`{"connect":{"token":%q}}`, token(t, map[string]any{"sub": "ann"})): 0,
		fmt.Sprintf(`{"token":%q}`, token(t, map[string]any{"sub": "bob"})):             3507,
		`{"token":"x"}`: 3500, `{}`: 3507, `{`: 3501, "": 3502,
	} {
		p := r.peer("/uni_websocket?channels=d,e")
		if message != "" {
			p.send(message)
		}
		if want != 0 {
			if c := p.over(); c != want {
				t.Errorf("%s: %d instead of %d", message, c, want)
			}
			continue
		}
		for _, want := range []string{`{"connect":{`, `{"channel":"d","subscribe":{`, `{"channel":"e","subscribe":{`} {
			if text, err := p.frame(); err != nil || !strings.HasPrefix(text, want) {
				t.Errorf("%s, %v instead of %s", text, err, want)
			}
		}
	}
}

// A stream whose client is gone ends.
func TestStreamEnds(t *testing.T) {
	r := newRig(t, nil, nil)
	s := r.stream("GET", "/uni_sse?channels=a", "", "")
	_, _ = s.push(), s.push()
	_ = s.Body.Close()
	eventually(t, "it is gone", func() bool { i := r.Info(); return i.Connections == 0 && i.Channels == 0 })
}

// Tools that do not know the protocol are pinged by WebSocket frames.
func TestFramePings(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Ping, c.Pong = time.Second, 500*time.Millisecond }, nil)
	p := r.peer("/websocket?cf_ws_frame_ping_pong=true")
	if hello := p.enter(""); hello.Pong || hello.Ping != 0 {
		t.Fatal(hello)
	}
	for range 2 {
		var b [2]byte
		if _, err := io.ReadFull(p.in, b[:]); err != nil || b != [2]byte{0x89, 0} {
			t.Fatal(b, err)
		}
		_, _ = p.conn.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
	}
	if c := p.over(); c != 3012 {
		t.Error(c)
	}
}

func TestPreflight(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Origins = []string{"app.example.com"} }, nil)
	request, _ := http.NewRequest("OPTIONS", "http://"+r.addr+"/live/emulation", nil)
	request.Header.Set("Origin", "https://app.example.com")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 204 || response.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Error(response.Status, response.Header)
	}
}

func TestFormatsFrame(t *testing.T) {
	m := [][]byte{[]byte(`{"a":1}`), []byte(`{}`)}
	for f, want := range map[wire.Format]string{
		0:                          "\x81\x0a{\"a\":1}\n{}",
		wire.Protobuf:              "\x82\x0b\x07{\"a\":1}\x02{}",
		wire.SSE:                   "data: {\"a\":1}\n\ndata: {}\n\n",
		wire.Lines:                 "{\"a\":1}\n{}\n",
		wire.Lines | wire.Protobuf: "\x07{\"a\":1}\x02{}",
	} {
		if got := string(f.Append(nil, m...)); got != want {
			t.Errorf("%d: %q instead of %q", f, got, want)
		}
	}
}
