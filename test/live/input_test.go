package live

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/gorilla/websocket"
)

// bystander is somebody else's connection, which no test may disturb.
func bystander(t *testing.T, s *server) {
	t.Helper()
	room := channel("chat")
	ann, bob := enter(t, s.url("/websocket"), false, "bystander", nil), enter(t, s.url("/websocket"), true, "bystander", nil)
	sub := ann.join(t, room, centrifuge.SubscriptionConfig{})
	t.Cleanup(func() {
		if err := bob.say(t, room, `"still here"`); err != nil {
			t.Errorf("bystander: %v", err)
		}
		if p := recv(t, sub.publications, "publication for the bystander"); p.Offset != 1 {
			t.Errorf("bystander: %+v", p)
		}
		if len(ann.disconnected)+len(bob.disconnected) != 0 || len(ann.connected)+len(bob.connected) != 0 || len(sub.subscribed) != 0 {
			t.Error("the bystander was disturbed")
		}
	})
}

// TestCommands: what a client may not say gets the published code of an error, or ends its connection with one.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	for _, c := range []struct {
		say  string
		want int
	}{
		{`hello`, 3501},
		{`{`, 3501},
		{`[]`, 3501},
		{`{"id":"one"}`, 3501},
		{`{"id":-1,"rpc":{}}`, 3501},
		{`{"id":2}`, 3501},
		{`{"id":2,"dance":{}}`, 3501},
		{`{"id":2,"connect":{}}`, 3501},
		{`{}`, 3501}, // a pong without a ping
		{`{"subscribe":{"channel":"plain:x"}}`, 3501},
		{`{"id":2,"subscribe":{}}`, 3501},
		{`{"id":2,"unsubscribe":{}}`, 3501},
		{`{"id":2,"publish":{"data":1}}`, 3501},
		{`{"id":2,"history":{}}`, 3501},
		{`{"id":2,"presence":{}}`, 3501},
		{`{"id":2,"refresh":{}}`, 3501},
		{`{"id":2,"refresh":{"token":"x"}}`, 3500},
		{`{"id":2,"sub_refresh":{}}`, 3501},
		{`{"id":2,"sub_refresh":{"channel":"plain:x","token":"x"}}`, 103},
		{`{"send":{"data":1}}`, 3508},
		{`{"id":2,"rpc":{"method":"nobody"}}`, 104},
		{`{"id":2,"rpc":{}}`, 104},
		{`{"id":2,"subscribe":{"channel":"nowhere:x"}}`, 102},
		{`{"id":2,"subscribe":{"channel":"bare"}}`, 102},
		{`{"id":2,"subscribe":{"channel":"plain:"}}`, 107},
		{`{"id":2,"subscribe":{"channel":":x"}}`, 107},
		{`{"id":2,"subscribe":{"channel":"mine:other"}}`, 103},
		{`{"id":2,"subscribe":{"channel":"private:x"}}`, 103},
		{`{"id":2,"subscribe":{"channel":"private:x","token":"x"}}`, 103},
		{`{"id":2,"subscribe":{"channel":"plain:dialog#other,another"}}`, 103},
		{`{"id":2,"subscribe":{"channel":"job:01ARZ3NDEKTSV4RRFFQ69G5FAV","token":"x"}}`, 103},
		{`{"id":2,"subscribe":{"channel":"plain:a\u0000b"}}`, 107},
		{`{"id":2,"subscribe":{"channel":"plain:a\nb"}}`, 107},
		{`{"id":2,"subscribe":{"channel":"plain:a\u007fb"}}`, 107},
		{`{"id":2,"subscribe":{"channel":"plain:x","delta":"other"}}`, 107},
		{`{"id":2,"subscribe":{"channel":"plain:` + strings.Repeat("x", 250) + `"}}`, 106},
		{`{"id":2,"subscribe":{"channel":"plain:twice"}}` + "\n" + `{"id":3,"subscribe":{"channel":"plain:twice"}}`, 105},
		{`{"id":2,"publish":{"channel":"news:x","data":1}}`, 103},
		{`{"id":2,"publish":{"channel":"mine:raw","data":1}}`, 103},
		{`{"id":2,"publish":{"channel":"job:01ARZ3NDEKTSV4RRFFQ69G5FAV","data":1}}`, 108},
		{`{"id":2,"publish":{"channel":"plain:x"}}`, 107},
		{`{"id":2,"publish":{"channel":"small:x","data":"` + strings.Repeat("x", 1023) + `"}}`, 106},
		{`{"id":2,"publish":{"channel":"plain:a\u0001","data":1}}`, 107},
		{`{"id":2,"history":{"channel":"news:x","limit":1}}`, 103},
		{`{"id":2,"history":{"channel":"nowhere:x","limit":1}}`, 102},
		{`{"id":2,"presence":{"channel":"chat:x\u0002"}}`, 107},
		{`{"id":2,"presence_stats":{"channel":"news:x"}}`, 103},
		{`{"id":2,"subscribe":{"channel":"plain:x"}}` + "\nrubbish", 3501},
		{`{"id":2,"publish":{"channel":"chat:x","data":` + strings.Repeat("[", 20_000) + `}}`, 3501},
		{`{"id":2,"rpc":{"method":"greet","data":"` + strings.Repeat("x", 64<<10) + `"}}`, 1009},
	} {
		conn := hello(t, s, "raw")
		conn.say(c.say)
		if got := conn.closed(); got != c.want {
			t.Errorf("%.80s: %d, want %d", c.say, got, c.want)
		}
		_ = conn.Close()
	}
	for _, say := range []string{`hello`, `{"id":1}`, `{"id":1,"subscribe":{"channel":"plain:x"}}`, `{}`, `{"id":1,"connect":1}`, "\x00"} {
		conn := open(t, s, "/websocket")
		conn.say(say)
		if got := conn.closed(); got != 3501 {
			t.Errorf("%q before connect: %d", say, got)
		}
	}
	silent := open(t, s, "/websocket")
	if got := silent.closed(); got != 3502 {
		t.Errorf("a client that does not connect: %d", got)
	}
}

// TestProtobuf: bytes that are no commands.
func TestProtobuf(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	for _, say := range [][]byte{
		{0}, {1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, binary.AppendUvarint(nil, 1<<40),
		{5, 8, 1, 0x22, 0xff, 1}, {2, 0xff, 0xff}, append([]byte{3, 8, 1, 0x22}, make([]byte, 60)...), []byte(`{"id":1,"connect":{}}`),
	} {
		for _, path := range []string{"/websocket?format=protobuf", "/websocket?cf_protocol=protobuf", "/websocket"} {
			conn := open(t, s, path, map[bool][]string{true: {"centrifuge-protobuf"}}[path == "/websocket"]...)
			if err := conn.WriteMessage(websocket.BinaryMessage, say); err != nil {
				t.Fatal(err)
			}
			_, _, err := conn.ReadMessage()
			if !websocket.IsCloseError(err, 3501) {
				t.Errorf("% x: %v", say, err)
			}
		}
	}
}

// TestTokens: what is not signed for this server does not connect.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	good := token(t, "ann", nil)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	text := func(v any) string { b, _ := json.Marshal(v); return encode(b) }
	now := time.Now()
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"good":             {good, 0},
		"none at all":      {"", 3507},
		"garbage":          {"garbage", 3500},
		"three dots":       {"...", 3500},
		"expired":          {token(t, "ann", claims{"exp": now.Add(-time.Hour).Unix()}), 109},
		"not yet":          {token(t, "ann", claims{"nbf": now.Add(time.Hour).Unix()}), 3500},
		"wrong audience":   {token(t, "ann", claims{"aud": "elsewhere"}), 3500},
		"no audience":      {token(t, "ann", claims{"aud": nil}), 3500},
		"many audiences":   {token(t, "ann", claims{"aud": []string{"elsewhere", audience}}), 0},
		"odd audience":     {token(t, "ann", claims{"aud": 7}), 3500},
		"odd expiry":       {token(t, "ann", claims{"exp": "tomorrow"}), 3500},
		"odd subject":      {token(t, "ann", claims{"sub": 7}), 3500},
		"odd channels":     {token(t, "ann", claims{"channels": "chat:x"}), 3500},
		"unknown channel":  {token(t, "ann", claims{"channels": []string{"nowhere:x"}}), 102},
		"expire_at past":   {token(t, "ann", claims{"expire_at": now.Add(-time.Hour).Unix()}), 110},
		"too many":         {token(t, "ann", claims{"channels": many(201)}), 3505},
		"alg none":         {text(claims{"alg": "none"}) + "." + parts[1] + ".", 3500},
		"alg NONE":         {text(claims{"alg": "NONE"}) + "." + parts[1] + ".", 3500},
		"alg of a key":     {text(claims{"alg": "RS256"}) + "." + parts[1] + "." + parts[2], 3500},
		"no signature":     {parts[0] + "." + parts[1] + ".", 3500},
		"other payload":    {parts[0] + "." + text(claims{"sub": "root", "aud": audience}) + "." + parts[2], 3500},
		"cut":              {good[:len(good)-2], 3500},
		"critical":         {text(claims{"alg": "HS256", "crit": []string{"x"}}) + "." + parts[1] + "." + parts[2], 3500},
		"embedded key":     {text(claims{"alg": "HS256", "jwk": claims{"kty": "oct", "k": encode([]byte("x"))}}) + "." + parts[1] + "." + parts[2], 3500},
		"long as a letter": {good + strings.Repeat("A", 50_000), 3500},
	} {
		conn := open(t, s, "/websocket")
		conn.say(`{"id":1,"connect":{"token":"` + c.token + `"}}`)
		if c.want == 0 {
			if r := conn.reply(); r.Connect == nil {
				t.Errorf("%s: %+v", name, r)
			}
		} else if got := conn.closed(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		_ = conn.Close()
	}
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"good":          {token(t, "raw", claims{"channel": "private:x"}), 0},
		"other channel": {token(t, "raw", claims{"channel": "private:y"}), 103},
		"other user":    {token(t, "ann", claims{"channel": "private:x"}), 103},
		"no channel":    {token(t, "raw", nil), 103},
		"expired":       {token(t, "raw", claims{"channel": "private:x", "exp": now.Add(-time.Hour).Unix()}), 109},
	} {
		conn := hello(t, s, "raw")
		conn.say(`{"id":2,"subscribe":{"channel":"private:x","token":"` + c.token + `"}}`)
		if r := conn.reply(); int(r.Error.Code) != c.want {
			t.Errorf("subscription token, %s: %+v, want %d", name, r.Error, c.want)
		}
	}
}

func many(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("plain:many-", i))
	}
	return all
}

// TestThousandSubscriptions in one frame: as many as a connection may have are made, each other one is refused by itself.
func TestThousandSubscriptions(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	conn := hello(t, s, "raw")
	var b strings.Builder
	for i, name := range many(1000) {
		fmt.Fprintf(&b, `{"id":%d,"subscribe":{"channel":%q}}`+"\n", i+2, name)
	}
	conn.say(b.String())
	for i := range 1000 {
		r := conn.reply()
		want := uint32(0)
		if i >= 200 {
			want = 106
		}
		if r.ID != uint32(i+2) || r.Error.Code != want {
			t.Fatalf("reply %d: %+v", i, r)
		}
	}
	conn.say(`{"id":2000,"unsubscribe":{"channel":"plain:many-7"}}` + "\n" + `{"id":2001,"subscribe":{"channel":"plain:many-900"}}`)
	if a, b := conn.reply(), conn.reply(); a.Error.Code != 0 || b.Error.Code != 0 {
		t.Errorf("one for another: %+v %+v", a, b)
	}
}

// TestFrames: what RFC 6455 forbids ends the connection with its code.
func TestFrames(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	for name, c := range map[string]struct {
		bytes []byte
		want  int
	}{
		"not masked":               {[]byte{0x81, 2, '{', '}'}, 1002},
		"reserved bit":             {[]byte{0xc1, 0x80, 0, 0, 0, 0}, 1002},
		"reserved operation":       {[]byte{0x83, 0x80, 0, 0, 0, 0}, 1002},
		"continued nothing":        {[]byte{0x80, 0x80, 0, 0, 0, 0}, 1002},
		"long ping":                {append([]byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...), 1002},
		"fragmented ping":          {[]byte{0x09, 0x80, 0, 0, 0, 0}, 1002},
		"no UTF-8":                 {[]byte{0x81, 0x82, 0, 0, 0, 0, 0xc0, 0xaf}, 1007},
		"8 exabytes":               {[]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1009},
		"negative length":          {[]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1002},
		"one too long":             {binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 64<<10+1), 1009},
		"a close code of nobody":   {[]byte{0x88, 0x82, 0, 0, 0, 0, 1005 >> 8, 1005 & 255}, 1002},
		"a close code of one byte": {[]byte{0x88, 0x81, 0, 0, 0, 0, 3}, 1002},
		"a close":                  {[]byte{0x88, 0x82, 0, 0, 0, 0, 1000 >> 8, 1000 & 255}, 1000},
	} {
		conn := hello(t, s, "raw")
		if _, err := conn.UnderlyingConn().Write(c.bytes); err != nil {
			t.Fatal(err)
		}
		if got := conn.closed(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	// the longest message that is allowed, in fragments of one byte each at its beginning
	conn := hello(t, s, "raw")
	text := fmt.Sprintf(`{"id":2,"publish":{"channel":"plain:x","data":%q}}`, strings.Repeat("x", 60_000))
	text += strings.Repeat(" ", 64<<10-len(text))
	var b []byte
	for i := range 100 {
		b = append(b, map[bool]byte{true: 1}[i == 0], 0x81, 0, 0, 0, 0, text[i])
	}
	b = binary.BigEndian.AppendUint16(append(b, 0x80, 0xfe), uint16(len(text)-100))
	b = append(append(b, 0, 0, 0, 0), text[100:]...)
	if _, err := conn.UnderlyingConn().Write(b); err != nil {
		t.Fatal(err)
	}
	if r := conn.reply(); r.Publish == nil {
		t.Errorf("the longest message: %+v", r)
	}
}

// TestHandshakes that are none.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	at := "http://" + s.public + "/live"
	good := func(name, value string) http.Header {
		h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		if h.Set(name, value); value == "" {
			h.Del(name)
		}
		return h
	}
	for _, c := range []struct {
		method, path, body string
		header             http.Header
		want               int
	}{
		{"GET", "/websocket", "", good("Origin", ""), 101},
		{"GET", "/websocket", "", good("Origin", "http://"+s.public), 101},
		{"GET", "/websocket", "", good("Origin", "http://evil.example"), 403},
		{"GET", "/websocket", "", good("Origin", "null"), 403},
		{"GET", "/websocket", "", good("Sec-Websocket-Version", "8"), 400},
		{"GET", "/websocket", "", good("Sec-Websocket-Key", ""), 400},
		{"GET", "/websocket", "", good("Sec-Websocket-Key", "short"), 400},
		{"GET", "/websocket", "", good("Upgrade", "h2c"), 400},
		{"POST", "/websocket", "", good("Origin", ""), 400},
		{"GET", "/nothing", "", nil, 404},
		{"GET", "/", "", nil, 404},
		{"GET", "/uni_sse?channels=chat:x", "", http.Header{"Origin": {"http://evil.example"}}, 403},
		{"GET", "/emulation", "", nil, 405},
		{"POST", "/emulation", "{}", nil, 404},
		{"POST", "/emulation", "rubbish", nil, 400},
		{"POST", "/emulation", `{"session":"00","node":"x","data":"{}"}`, nil, 404},
		{"DELETE", "/sse", "", nil, 405},
		{"POST", "/http_stream", strings.Repeat("x", 65<<10), nil, 413},
		{"OPTIONS", "/http_stream", "", http.Header{"Origin": {"http://" + s.public}}, 204},
	} {
		if got := status(t, c.method, at+c.path, c.body, c.header); got != c.want {
			t.Errorf("%s %s %v: %d, want %d", c.method, c.path, c.header, got, c.want)
		}
	}
}

// TestSlowloris: handshakes that never end cost others nothing.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	s := shared(t)
	bystander(t, s)
	for i := range 200 {
		c, err := net.Dial("tcp", s.public)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		head := "GET /live/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Slow: "
		if _, err := c.Write([]byte(head[:20+i%60])); err != nil {
			t.Fatal(err)
		}
	}
	drip, err := net.Dial("tcp", s.public)
	if err != nil {
		t.Fatal(err)
	}
	defer drip.Close()
	over := make(chan error, 1)
	go func() { // a byte now and then does not prolong the time for a handshake
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for range 2 * int(patience/time.Second) {
			if _, err := drip.Write([]byte("G")); err != nil {
				over <- err
				return
			}
			<-tick.C
		}
	}()
	began := time.Now()
	for range 20 {
		_ = hello(t, s, "raw").Close()
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("20 connections took %s", took)
	}
	recv(t, over, "end of a handshake that drips")
}
