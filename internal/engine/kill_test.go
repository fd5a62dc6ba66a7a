package engine

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// TestKill kills a process right after it committed; the test runs itself as that process.
func TestKill(t *testing.T) {
	const child = "ENGINE_TEST_KILL"
	if data := os.Getenv(child); data != "" {
		e := open(t, Config{Data: data})
		js := connect(t, e)
		_, err := e.Stream(t.Context(), js, orders)
		must(t, err)
		for i := 0; ; i++ {
			ack, err := js.Publish(t.Context(), "orders.1", body(i))
			must(t, err)
			must(t, e.Commit(t.Context(), "ORDERS"))
			fmt.Println("committed", ack.Sequence, i)
		}
	}
	data := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), child+"="+data)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	want := map[uint64]int{}
	for lines := bufio.NewScanner(out); len(want) < 150 && lines.Scan(); {
		var seq uint64
		var i int
		if n, _ := fmt.Sscanf(lines.Text(), "committed %d %d", &seq, &i); n == 2 {
			want[seq] = i
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if len(want) < 150 {
		t.Fatal("the child ended early after " + strconv.Itoa(len(want)))
	}
	must(t, missing(t, data, want))
}
