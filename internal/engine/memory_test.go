package engine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// TestIdleMemory opens an engine with the streams and connections of a small node in a process of its own and reads its
// resident size from the system.
func TestIdleMemory(t *testing.T) {
	const child, limit = "ENGINE_TEST_MEMORY", 35 << 10 // KiB
	if data := os.Getenv(child); data != "" {
		e := open(t, Config{Data: data})
		for i := range 6 {
			js := connect(t, e)
			name := fmt.Sprintf("S%d", i)
			_, err := e.Stream(t.Context(), js, jetstream.StreamConfig{Name: name, Subjects: []string{name}})
			must(t, err)
			_, err = js.Publish(t.Context(), name, nil)
			must(t, err)
			must(t, e.Commit(t.Context(), name))
		}
		debug.FreeOSMemory()
		status, err := os.ReadFile("/proc/self/status")
		must(t, err)
		fmt.Println(string(status))
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc")
	}
	if raceEnabled() {
		t.Skip("the race detector multiplies memory")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleMemory$")
	cmd.Env = append(os.Environ(), child+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		var size int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &size); n == 1 {
			t.Logf("idle: %d KiB", size)
			if size > limit {
				t.Errorf("idle engine takes %d KiB, limit is %d", size, limit)
			}
		}
		if strings.HasPrefix(line, "RssAnon") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// raceEnabled reads how this test was built.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, setting := range info.Settings {
		if setting.Key == "-race" {
			return setting.Value == "true"
		}
	}
	return false
}
