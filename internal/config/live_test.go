package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

const publicKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

func TestLiveIsOffWithoutSection(t *testing.T) {
	c, err := config.Load([]string{write(t, "log: {level: warn}\n")}, nil, nil)
	if err != nil || c.Live != nil {
		t.Fatalf("got %+v, %v", c, err)
	}
	var shown bytes.Buffer
	if err := c.Show(&shown, true); err != nil || strings.Contains(shown.String(), "live") {
		t.Errorf("%v\n%s", err, &shown)
	}
}

func TestLiveDefaults(t *testing.T) {
	for _, text := range []string{"live:\n", "live: {}\n", "live: {path: /live}\n"} {
		c, err := config.Load([]string{write(t, text)}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c.Live, config.DefaultLive()) {
			t.Errorf("%q: got %+v", text, c.Live)
		}
		if c.Live.Namespace("") != nil || c.Live.Namespace("chat") != nil {
			t.Errorf("%q: channels without declaration", text)
		}
	}
}

func TestLiveLayers(t *testing.T) {
	path := write(t, `
live:
  origins: ["*.example.com", localhost:5173, "[::1]:8080", "*"]
  token: {secret: "s3cret, as long as HS256 wants it", public_key_files: [a.pem]}
  max_channels: 7
  channels:
  namespaces:
    chat: {history: {size: 100, age: 1h}, delta: true, subscribe: "true"}
    room:
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "a.pem"), []byte(publicKey), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load([]string{path}, []string{
		"HEADRACE_LIVE_PING=30s", "HEADRACE_LIVE_NAMESPACES_CHAT_PRESENCE=true", "HEADRACE_LIVE_CHANNELS_PUBLISH=true", "HEADRACE_LIVE_RPC=[add]",
	}, map[string]string{"live.namespaces.room.slow": "resync"})
	if err != nil {
		t.Fatal(err)
	}
	l := c.Live
	chat, room := l.Namespace("chat"), l.Namespace("room")
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"number in the file", l.MaxChannels, 7},
		{"environment", l.Ping, 30 * time.Second},
		{"list from the environment", l.RPC[0], "add"},
		{"path of a key", l.Token.PublicKeyFiles[0], filepath.Join(filepath.Dir(path), "a.pem")},
		{"subscription tokens", l.SubscriptionTokens().Secret, "s3cret, as long as HS256 wants it"},
		{"channels without namespace", l.Namespace("").Publish, "true"},
		{"default of a namespace", chat.Recovery, "stream"},
		{"durable", chat.Durable(), true},
		{"not durable", room.Durable(), false},
		{"environment of a namespace", chat.Presence, true},
		{"flag of a namespace", room.Slow, "resync"},
		{"origin", c.Origin("live.namespaces.chat.history.size"), path + ":8:28"},
		{"origin of the environment", c.Origin("live.ping"), "environment HEADRACE_LIVE_PING"},
	} {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
	var shown, again bytes.Buffer
	if err := c.Show(&shown, false); err != nil || strings.Contains(shown.String(), "s3cret") {
		t.Fatalf("%v\n%s", err, &shown)
	}
	second, err := config.Load([]string{write(t, shown.String())}, []string{"HEADRACE_LIVE_TOKEN_SECRET=" + l.Token.Secret}, nil) // which is not shown
	if err != nil {
		t.Fatalf("%v\n%s", err, &shown)
	}
	if err := second.Show(&again, false); err != nil || shown.String() != again.String() {
		t.Errorf("%v, first:\n%s\nagain:\n%s", err, &shown, &again)
	}
}

// A variable alone turns the plane on, as it makes the default pool.
func TestLiveByEnvironment(t *testing.T) {
	c, err := config.Load(nil, []string{"HEADRACE_LIVE_ANONYMOUS=true"}, nil)
	if err != nil || c.Live == nil || !c.Live.Anonymous || c.Live.Channels != nil {
		t.Fatalf("got %+v, %v", c, err)
	}
	c, err = config.Load(nil, []string{"HEADRACE_LIVE_CHANNELS_SUBSCRIBE=true"}, nil)
	if err != nil || c.Live == nil || c.Live.Channels == nil {
		t.Fatalf("got %+v, %v", c, err)
	}
}

func TestLiveBounds(t *testing.T) {
	for text, valid := range map[string]bool{
		"ping: 1s, pong: 999ms": true, "ping: 999ms, pong: 500ms": false,
		"max_message: 1KiB": true, "max_message: 1023B": false, "max_message: 64MiB": true,
		"max_channel_length: 1": true, "max_channel_length: 0": false, "max_channel_length: 1024": true, "max_channel_length: 1025": false,
		"max_channels: 1": true, "max_channels: 100000": true, "max_channels: 100001": false,
		"max_connections: 0": true, "max_connections: -1": false,
		"shutdown_window: 0s": true, "shutdown_window: 10m": true, "shutdown_window: 11m": false,
		"max_queue: 64KiB, channels: {max_publication: 64KiB}": true, "max_queue: 64KiB, channels: {max_publication: 65KiB}": false,
		"channels: {max_publication: 4MiB}, max_queue: 4MiB": true, "channels: {max_publication: 5MiB}, max_queue: 5MiB": false,
		"channels: {history: {size: 1000000, age: 1ns}}": true, "channels: {history: {size: 1000001, age: 1s}}": false,
		"token: {jwks_url: 'https://a/keys', issuer: i, audience: a}, channels: {subscription_token: true}": true,
	} {
		_, err := config.Load([]string{write(t, "live: {"+text+"}\n")}, nil, nil)
		if (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
	}
}
