package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/bench/gateway/upstream"
	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
	"github.com/headrace/headrace/internal/config"
)

// TestMain makes the test binary an upstream, as main does with the benchmark.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "upstream" {
		if err := upstream.Run(os.Args[2], os.Args[3]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func served(t *testing.T) *server {
	t.Helper()
	buildDir = t.TempDir()
	if err := os.Mkdir(filepath.Join(buildDir, "runs"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := serve(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func TestTheUpstreamAnswersWhatItIsAskedFor(t *testing.T) {
	s := served(t)
	for _, r := range []request{s.small(), s.large(), {addr: s.Plain, path: "/guarded/small", token: "x.y.z", length: upstream.Small}, {addr: s.Plain, path: "/wait", length: upstream.Small}} {
		plan := r.plan(8)
		plan.Requests = 100
		result, err := load.Closed(t.Context(), plan)
		if err != nil || result.Error != nil || result.Done != 100 {
			t.Errorf("%s: %v, %+v", r.path, err, result)
		}
	}
	if err := fetch(t.Context(), s.Plain, 3<<20+1); err != nil {
		t.Error(err)
	}
	if err := push(t.Context(), s.Plain, 3<<20+1); err != nil {
		t.Error(err)
	}
}

func TestTheUpstreamAnswersWhatItHasBeforeItEnds(t *testing.T) {
	s := served(t)
	conn, err := load.Dial(string(s.Plain))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(request{addr: s.Plain, path: "/wait"}.text()); err != nil {
		t.Fatal(err)
	}
	if err := rig.Poll(t.Context(), 5*time.Second, time.Millisecond, "answered", func() (bool, error) {
		status, body, err := conn.Answer()
		return status == 200 && string(body) == string(upstream.Body("one")), err
	}); err != nil {
		t.Error(err)
	}
	s.Stop(5 * time.Second)
	if _, err := load.Dial(string(s.Plain)); err == nil {
		t.Error("it still takes connections")
	}
}

func TestIdleConnectionsAreCountedAndTheirEndIsSeen(t *testing.T) {
	s := served(t)
	conns, err := crowd(t.Context(), s.small(), 200)
	if err != nil || len(conns) != 200 {
		t.Fatal(len(conns), err)
	}
	for _, c := range conns {
		defer c.Close()
		if err := alive(c); err != nil {
			t.Error(err)
		}
	}
	s.stop()
	if err := rig.Poll(t.Context(), 5*time.Second, time.Millisecond, "seen as closed", func() (bool, error) { return alive(conns[0]) != nil, nil }); err != nil {
		t.Error(err)
	}
}

func TestTheProductTakesItsConfigurations(t *testing.T) {
	rivalsDir = "rivals"
	dir := t.TempDir()
	if err := certify(dir); err != nil {
		t.Fatal(err)
	}
	p := place{
		Dir: dir, Plain: "127.0.0.1:1", TLS: "127.0.0.1:2", Admin: "127.0.0.1:3", Upstream: "127.0.0.1:4", Others: []address{"127.0.0.1:5", "127.0.0.1:6"},
		Merged: []string{"/small"}, Certificate: filepath.Join(dir, "certificate.pem"), Key: filepath.Join(dir, "key.pem"), Secret: secret,
	}
	for _, name := range []string{"headrace.yaml", "headrace-merge.yaml", "headrace-change.yaml"} {
		s := &server{contender: &contender{files: []string{name}}, place: p}
		if err := s.configure(); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load([]string{filepath.Join(dir, name)}, nil, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRatiosAreThoseOfTheSameTurn(t *testing.T) {
	r := newReport()
	r.contenders = []string{own, judge, "HAProxy"}
	for _, v := range []float64{10, 20, 40} { // the machine became slower
		r.note(smallCPU, judge, v)
		r.note(smallCPU, own, v*1.5)
		r.compared(smallCPU, own, 1.5)
	}
	r.failed("HAProxy", errors.New("gone"), []*figure{smallCPU})
	table := r.table()
	if want := "| 30.0 (15.0…60.0) · 1.50× | 20.0 (10.0…40.0) | failed | 1.4× | 1.0× |"; !strings.Contains(table, want) {
		t.Errorf("no %s in\n%s", want, table)
	}
	if strings.Contains(table, largeCPU.name) {
		t.Errorf("a row without any figure in\n%s", table)
	}
}

func TestAMissingContenderIsNamed(t *testing.T) {
	buildDir = t.TempDir()
	c := &contender{title: "nobody", argv: []string{"no-such-server"}}
	if why := install(context.Background(), []*contender{c})[c]; why != "no-such-server is not installed" {
		t.Errorf("it says %q", why)
	}
}
