// Profiled is headrace, and writes a CPU profile of its life to the folder BENCH_PROFILES. make profile has the benchmarks run it, and gives the
// profiles to the compiler.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"github.com/headrace/headrace/internal/cli"
)

func main() {
	file, err := os.Create(filepath.Join(os.Getenv("BENCH_PROFILES"), fmt.Sprint(os.Getpid())))
	if err != nil {
		log.Fatal(err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, _ := os.Getwd()
	status := cli.Main(ctx, cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Dir: dir, Version: "profiled"})
	pprof.StopCPUProfile()
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	os.Exit(status)
}
