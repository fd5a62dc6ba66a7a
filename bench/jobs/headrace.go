package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// headrace is the product, as `headrace run` starts it.
type headrace struct {
	process       *process
	public, admin string
}

func (h *headrace) name() string { return "headrace" }
func (h *headrace) durability() string {
	return "every 202 and every result after fdatasync (engine.durability: fsync)"
}
func (h *headrace) addr() string   { return h.admin }
func (h *headrace) servers() []int { return []int{h.process.pid()} }
func (h *headrace) client() []int  { return nil }

func (h *headrace) start(ctx context.Context, setup setup) (err error) {
	*h = headrace{public: rig.FreeAddr(), admin: rig.FreeAddr()}
	static := filepath.Join(setup.dir, "static")
	if err := os.Mkdir(static, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(static, "file.txt"), []byte(strings.Repeat("x", 1024)), 0o644); err != nil {
		return err
	}
	durability := "fsync"
	if setup.durable != "" {
		durability = setup.durable
	}
	config := fmt.Sprintf(`engine: {data: %s, durability: %s}
server: {listen: %q, max_body: 4GiB}
admin: {listen: %q, max_body: 4GiB}
queues: {defaults: {keep: {succeeded: {count: 10000000}}}}
routes: [{match: /static/*, static: %s}]
`, filepath.Join(setup.dir, "data"), durability, h.public, h.admin, static)
	if setup.workers > 0 {
		config += fmt.Sprintf("pools: {default: {app: %s, python: %s, min: %d, max: %d}}\n", filepath.Join(appsDir, "headrace_app.py"),
			filepath.Join(buildDir, "venv/bin/python"), setup.workers, setup.workers)
	}
	path := filepath.Join(setup.dir, "headrace.yaml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return err
	}
	if h.process, err = spawn("headrace", setup.dir, setup.env(), rig.Product(), "run", "--config", path); err != nil {
		return err
	}
	if err := h.process.listening(ctx, h.admin); err != nil {
		h.stop()
		return err
	}
	if setup.workers == 0 {
		return nil
	}
	err = rig.Poll(ctx, 30*time.Second, 20*time.Millisecond, "announced by a worker: noop", func() (bool, error) {
		answer, err := http.Get("http://" + h.admin + "/v1/functions")
		if err != nil {
			return false, err
		}
		defer answer.Body.Close()
		list, err := io.ReadAll(answer.Body)
		return strings.Contains(string(list), `"noop"`), err
	})
	if err != nil {
		err = fmt.Errorf("%w:\n%s", err, h.process.tail())
		h.stop()
	}
	return err
}

func (h *headrace) stop() { h.process.stop() }

func (h *headrace) enqueue(into []byte, function string, index int) []byte {
	return post(into, "/v1/jobs/"+function, "application/json", fmt.Sprintf(`{"index":%d}`, index))
}

func (h *headrace) call(into []byte, index int) []byte {
	return post(into, "/v1/calls/answer", "application/json", fmt.Sprintf(`{"index":%d}`, index))
}

func (h *headrace) static() (string, []byte) { return h.public, get(nil, "/static/file.txt") }

// bulk posts arrays of 100 jobs over 8 connections.
func (h *headrace) bulk(ctx context.Context, first, count int) error {
	const batch = 100
	result, err := load.Closed(ctx, load.Plan{
		Addr: h.admin, Connections: 8, Requests: (count + batch - 1) / batch,
		Next: func(request int, into []byte) []byte {
			body := []byte{'['}
			for i := request * batch; i < min((request+1)*batch, count); i++ {
				body = fmt.Appendf(body, `{"function":"noop","args":{"index":%d}},`, first+i)
			}
			body[len(body)-1] = ']'
			return post(into, "/v1/jobs", "application/json", string(body))
		},
		Check: func(_, status int, body []byte, _, _ time.Time) error {
			if status != 202 || strings.Contains(string(body), `"error"`) {
				return fmt.Errorf("status %d: %.500s", status, body)
			}
			return nil
		},
	})
	if err == nil {
		err = result.Error
	}
	return err
}

// recorded sums the members "succeeded" wherever they are in the counts of the queues.
func (h *headrace) recorded() (int, error) {
	answer, err := http.Get("http://" + h.admin + "/v1/queues")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var counts any
	if err := json.NewDecoder(answer.Body).Decode(&counts); err != nil || answer.StatusCode != 200 {
		return 0, fmt.Errorf("GET /v1/queues: status %d, %v", answer.StatusCode, err)
	}
	return succeeded(counts), nil
}

func succeeded(value any) (sum int) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			sum += succeeded(item)
		}
	case map[string]any:
		for name, member := range value {
			if n, ok := member.(float64); ok && name == "succeeded" {
				sum += int(n)
			} else {
				sum += succeeded(member)
			}
		}
	}
	return sum
}
