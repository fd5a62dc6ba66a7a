// Command live measures the live plane of headrace beside Node ws, Socket.IO and the Go library centrifuge on this machine, and writes the table
// to bench/results/live.md. Run it from the checkout: go run ./bench/live [-short] [-scenario …] [-rivals …] [-connections n]. It installs the
// rivals below build/bench/live itself. Every scenario checks that each subscriber received each publication once and in order; anything else
// ends the program with an error, or is said in the table if it is a rival that fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/live/swarm"
	"github.com/headrace/headrace/bench/rig"
)

// scenarios are the names for -scenario, in the order of the table.
var scenarios = []string{"memory", "delivery", "burst", "idle", "acknowledge", "return", "connect", "slow"}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "swarm" { // started by crowd
		if err := swarm.Run(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench/live: swarm:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	small := flag.Bool("short", false, "small sizes: a smoke test, not a measurement; printed, not written")
	only := flag.String("scenario", "", "of "+strings.Join(scenarios, ", ")+", separated by commas; empty is all")
	rivals := flag.String("rivals", "", "contenders, headrace included, separated by commas; empty is all")
	connections := flag.Int("connections", 0, "of scenarios 1 to 4 and 7, and two thirds of those of 6; 0 is 10,000")
	flag.Parse()
	if err := measure(ctx, *small, *only, *rivals, *connections); err != nil {
		fmt.Fprintln(os.Stderr, "bench/live:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, small bool, only, rivals string, connections int) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	buildDir, rivalsDir = filepath.Join(root, "build/bench/live"), filepath.Join(root, "bench/live/rivals")
	if _, err := os.Stat(rivalsDir); err != nil {
		return errors.New("run it from the root of the checkout")
	}
	runs := filepath.Join(buildDir, "runs") // the logs and data of the last run stay until the next
	if err := errors.Join(os.RemoveAll(runs), os.MkdirAll(runs, 0o755)); err != nil {
		return err
	}
	wanted, err := rig.Choose(only, scenarios)
	if err != nil {
		return err
	}
	all := contenders()
	var titles []string
	for _, c := range all {
		titles = append(titles, c.title)
	}
	takesPart, err := rig.Choose(rivals, titles)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c *contender) bool { return !takesPart(c.title) })
	if err := install(ctx); err != nil {
		return err
	}
	b := &bench{report: newReport(), sizes: full, wanted: wanted}
	if small {
		b.sizes = short
	}
	if connections > 0 {
		if connections < 100 {
			return errors.New("-connections: at least 100")
		}
		b.connections, b.returning = connections, connections*3/2
	}
	text, started := b.method()+rig.OtherLoad(), time.Now()
	for _, c := range all {
		b.contenders = append(b.contenders, c.title)
		text += fmt.Sprintf("- %s: %s\n", c.title, c.about)
	}
	if err := b.run(ctx, all); err != nil {
		fmt.Fprintf(os.Stderr, "until then:\n%s", b.table())
		return err
	}
	text += b.failures
	page := fmt.Sprintf("# Live connections beside their rivals\n\n`make bench/live`, %s, %.0f s.\n\n%s\n## Machine\n\n%s\n## Method\n\n%s",
		started.Format(time.DateOnly), time.Since(started).Seconds(), b.table(), machine(), text)
	fmt.Print(page)
	if small || only != "" || rivals != "" || connections > 0 {
		return nil
	}
	results := filepath.Join(root, "bench/results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(results, "live.md"), []byte(page), 0o644)
}

// run runs the scenarios that are wanted, one contender after another but for those that only wait.
func (b *bench) run(ctx context.Context, all []*contender) error {
	stage := func(name string, run func() error) error {
		begun := time.Now()
		if err := run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", name, time.Since(begun).Seconds())
		return nil
	}
	if b.wanted("memory") || b.wanted("idle") {
		servers := slices.DeleteFunc(slices.Clone(all), func(c *contender) bool { return c.only != "" })
		if err := stage("memory, idle", func() error { return b.parked(ctx, servers) }); err != nil {
			return err
		}
	}
	for _, c := range all {
		for _, s := range []struct {
			names   []string
			run     func(context.Context, *contender) error
			figures []*figure
		}{
			{[]string{"connect", "delivery", "burst"}, b.fan, []*figure{connectRate, connectCPU, delivery, spread, burstCPU, burstRate}},
			{[]string{"slow"}, b.slow, []*figure{slowWithout, slowWith, slowAdded}},
			{[]string{"acknowledge"}, b.acknowledge, []*figure{postP50, postP99, sendP50, sendP99}},
			{[]string{"return"}, b.back, []*figure{cutTime, cutShare, killTime, killShare}},
		} {
			if !slices.ContainsFunc(s.names, func(name string) bool { return b.wants(c, name) }) {
				continue
			}
			err := stage(c.title+": "+strings.Join(s.names, ", "), func() error { return s.run(ctx, c) })
			if err != nil && (c.title == own || ctx.Err() != nil) {
				return err
			}
			if err != nil {
				b.failed(c.title, err, s.figures)
			}
		}
	}
	return nil
}

func (b *bench) method() string {
	return fmt.Sprintf(`- Servers run one after another on loopback (1 and 4: at the same time, since they only wait). The clients, processes of at most %d
  connections with one thread each (bench/live/swarm), compete with them for the cores; their CPU is not counted. No TLS. JSON.
- CPU is utime and stime of the server's process in /proc, memory its VmRSS. What the kernel keeps for a connection (two sockets of some KB on
  loopback) and does in interrupts is not counted; it is the same for all.
- Each client checks by its number that it has each publication once and in order. If headrace fails the program ends with an error;
  where a rival fails the table says so. In 6 what a rival loses is its figure. The data of a publication is %d bytes (8: %d KB).
- 1: RSS at the end of 4 minus RSS before, after a hundredth of the connections was opened and closed; %d connections.
- 2: %d publications, the next one when all %d clients have the last. 3: %d bursts of %d pipelined POSTs.
- 4: %v with pings and pongs every 25 s; all CPU of the server in that time, what it uses without connections included.
- 5: %d/s in an open loop over %d connections for %v each; from when a publication was due to its answer.
- 6: %d clients, %d publications a second to all of them, %d more at the moment of the cut. Clients come back at once, %d handshakes at a time.
  Cut: the clients' side resets all connections. From the cut to the last answer with what was missed.
- 7: TCP, WebSocket, token verified, subscribed; %d handshakes at a time, %d rounds of %d. Node verifies with jsonwebtoken, centrifuge with golang-jwt.
- 8: %d publications a second to %d clients and one more that stops reading; from the POST to the arrival; %d pairs of %v, median of p99.
- uWebSockets.js is not here: it is not on npm, only on GitHub, whence the benchmark cannot install it.
`, most, small, large>>10, b.connections, b.publishing, b.connections, b.bursts, burst, b.idle, acknowledging, publishers, b.rate,
		b.returning, perSecond, meanwhile, underWay, underWay, b.rounds, b.connections, slowRate, neighbours, b.pairs, b.each)
}
