// Package hostile attacks the built binary: with heads and bodies that can be read in two ways, paths and headers that try to come around
// policies, clients that are slow, streams of HTTP/2 that HTTP/1 could not carry, and floods of HTTP/3. An upstream of its own keeps what arrives.
package hostile

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	writeDifferences = flag.Bool("differences", false, "write DIFFERENCES.md")
	long             = flag.Bool("long", false, "take longer: more rounds, more connections, and slowhttptest")
)

// The parts that all tests share.
var (
	gate  *server
	up    *recorder
	canar *canary // nobody may ever connect to it
	by    *bystander
)

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("HEADRACE_BIN") == "" {
		fmt.Println("HEADRACE_BIN names no binary: make test/hostile runs these tests")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if canar, err = newCanary(); err == nil {
		if up, err = newRecorder(canar.Addr().String()); err == nil {
			gate, err = start(up.Addr().String())
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer gate.close()
	before := gate.figures()
	by = newBystander(gate.public)
	code := m.Run()
	for _, complaint := range after(before) {
		fmt.Println("FAIL: after all tests:", complaint)
		code = 1
	}
	if code != 0 {
		fmt.Println(gate.tail())
	}
	return code
}

// mostMemory is what the process may hold at any time, the worker of the call route not included.
const mostMemory = 400 << 20

// spare is how many goroutines more there may be in the end: those that are kept for the next connection, and those of parts that begin when they
// are needed. It is less than one for each client of a crowd.
const spare = 50

// after tells what is not as it was.
func after(before figures) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	asked, failed, slowest := by.stop()
	if failed > 0 || asked == 0 {
		complain("of %d requests of a bystander %d failed: %v", asked, failed, by.why)
	}
	if n := canar.count(); n > 0 {
		complain("somebody was led to an internal address, %d times", n)
	}
	if n := up.strays(); len(n) > 0 {
		complain("the upstream got requests that nobody sent, or broken ones: %q", n)
	}
	if gate.over() {
		complain("the process ended")
		return complaints
	}
	now := gate.settle(before)
	if now.open != 0 {
		complain("%v connections are open", now.open)
	}
	if now.goroutines > before.goroutines+spare {
		complain("%v goroutines, before %v", now.goroutines, before.goroutines)
	}
	if now.peak > mostMemory {
		complain("the process held %d MB", now.peak>>20)
	}
	fmt.Printf("bystander: %d requests, none failed, the slowest took %v; memory %d MB, at most %d MB; goroutines %v, before %v\n",
		asked, slowest, now.memory>>20, now.peak>>20, now.goroutines, before.goroutines)
	return complaints
}
