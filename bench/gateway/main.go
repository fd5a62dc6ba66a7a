// Command gateway measures the gateway plane of headrace beside nginx, HAProxy, Caddy, Traefik, and proxies on Go's net/http, Fastify and Express,
// all in front of one upstream on this machine, and writes the table to bench/results/gateway.md. Run it from the checkout:
// go run ./bench/gateway [-quick] [-only …] [-scenario …]. Servers come from Debian; the other rivals are built below build/bench/gateway. One that
// is missing is named and left out. Every answer is checked for its status and length.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/gateway/upstream"
	"github.com/headrace/headrace/bench/rig"
)

// Folders of the checkout, absolute; set by main.
var buildDir, rivalsDir string

// scenarios are the names for -scenario.
var scenarios = []string{"small", "large", "guarded", "tls", "h2", "latency", "idle", "bulk", "merge", "reload", "replace"}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "upstream" { // started by serve
		if err := upstream.Run(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench/gateway: upstream:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // whoever reads what is printed may go; the servers must still be ended
	defer stop()
	quick := flag.Bool("quick", false, "short runs: a smoke test, not a measurement; printed, not written")
	only := flag.String("only", "", "contenders, headrace included, separated by commas; empty is all; printed, not written")
	scenario := flag.String("scenario", "", "of "+strings.Join(scenarios, ", ")+", separated by commas; empty is all; printed, not written")
	flag.Parse()
	if err := measure(ctx, *quick, *only, *scenario); err != nil {
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, quick bool, only, scenario string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	buildDir, rivalsDir = filepath.Join(root, "build/bench/gateway"), filepath.Join(root, "bench/gateway/rivals")
	if _, err := os.Stat(rivalsDir); err != nil {
		return errors.New("run it from the root of the checkout")
	}
	runs := filepath.Join(buildDir, "runs") // logs and data of the last run stay until the next
	if err := errors.Join(os.RemoveAll(runs), os.MkdirAll(runs, 0o755), certify(buildDir)); err != nil {
		return err
	}
	b := &bench{report: newReport(), sizes: full}
	if quick {
		b.sizes = short
	}
	if b.wanted, err = rig.Choose(scenario, scenarios); err != nil {
		return err
	}
	if _, err := exec.LookPath("h2load"); err != nil && (b.wanted("tls") || b.wanted("h2")) {
		return errors.New("h2load is not installed (Debian: nghttp2-client)")
	}
	all := contenders()
	var titles []string
	for _, c := range all {
		titles = append(titles, c.title)
	}
	takesPart, err := rig.Choose(only, titles)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c *contender) bool { return !takesPart(c.title) })
	absent := install(ctx, all)
	all = slices.DeleteFunc(all, func(c *contender) bool { return absent[c] != "" })
	if b.token, err = token(); err != nil {
		return err
	}
	text, started := b.method()+rig.OtherLoad(), time.Now()
	for c, why := range absent {
		fmt.Fprintf(os.Stderr, "%s does not take part: %s\n", c.title, why)
		text += fmt.Sprintf("- %s does not take part: %s.\n", c.title, why)
	}
	for _, c := range all {
		b.contenders = append(b.contenders, c.title)
		text += fmt.Sprintf("- %s: %s.", c.title, c.about)
		if c.lacks != "" {
			text += fmt.Sprintf(" It lacks %s.", c.lacks)
		}
		text += "\n"
	}
	if err := b.run(ctx, all); err != nil {
		fmt.Fprintf(os.Stderr, "until then:\n%s", b.table())
		return err
	}
	page := fmt.Sprintf("# The gateway plane beside its rivals\n\n`make bench/gateway`, %s, %.0f s.\n\n%s\n## Machine\n\n%s\n## Method\n\n%s",
		started.Format(time.DateOnly), time.Since(started).Seconds(), b.table(), machine(all), text+b.remarks())
	fmt.Print(page)
	if b.broken {
		return errors.New("headrace failed, so nothing was written")
	}
	if quick || only != "" || scenario != "" {
		return nil
	}
	return os.WriteFile(filepath.Join(root, "bench/results/gateway.md"), []byte(page), 0o644)
}

func (b *bench) method() string {
	return fmt.Sprintf(`- Servers run one after another on loopback before one upstream: one thread with epoll and answers made in advance (bench/gateway/upstream), in a
  process of its own. The load generator (bench/load: one thread with epoll; h2load for TLS) and the upstream compete with the server for the
  cores; their CPU is not counted. So requests a second say less than CPU per request.
- CPU is user and system time of all processes of the server from /proc. "× nginx" is the ratio to nginx in the same turn; figures are medians.
- Every answer must be 200 with the right number of bytes; otherwise the scenario has failed. 1 to 5: each contender by turns with nginx, %d windows
  of %v each, so that both meet the same machine; closed loop, %d connections; no pipelining. 4 and 5: TLS 1.3, a P-256 certificate, handshakes
  included; HTTP/2 with %d connections of %d streams.
- 3: the route has JWT (HS256), a limit by address that is never reached, a JSON access log in a file and metrics.
- 6: open loop at a half, a quarter and an eighth of the requests a second that headrace reached in 1, the same for all: latency from when a request
  was due. Through the proxy minus directly to the upstream, %d turns of all, %v each; the median turn. Requests that come one by one cost the load
  generator, the upstream and the server more than in 1, where they come in bunches; the rows without a proxy and of "bare" tell what the machine
  alone makes of it.
- 7: %d connections from 4 addresses, each of which has had one answer, %v later; the idle ones have no connection to the upstream but those
  that the server keeps in its pool (at most 64). headrace lets go of the pages of its own program that it does not need (internal/trim).
- 8: peak of the resident memory during a download and an upload of %s minus that before, after %d requests.
- 9: one client, %d pairs; three upstreams in processes of their own, asked by one merged request, against one of them through a plain route of the same server.
  In the second part an upstream needs %v to answer. Beside each ratio that of a client without a gateway, which sends all questions and then reads
  the answers: so much of it is the machine's, where three upstreams share the cores with who asks them.
- 10: %d reloads by SIGHUP, each with other routes, at the load of 6; each must be in effect before the next. Failed: no answer, another status, or the
  connection closed. 11: the upstream is replaced by another process at another port: new process, reload, 100 ms, SIGTERM to the old one, %d times, at
  the load of 6.
`, b.turns, b.closed, connections, h2Connections, h2Streams, b.laps, b.open, b.idle, b.settle, size(b.bulk), warmRequests,
		mergePairs, upstream.Wait, b.reloads, b.replacements)
}

func size(bytes int64) string {
	if bytes >= 1<<30 {
		return fmt.Sprintf("%d GiB", bytes>>30)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
