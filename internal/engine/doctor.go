package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Report is what Doctor found.
type Report struct {
	Folder     string     // where it measured
	FileSystem string     // type, as in ext4
	Free       int64      // bytes
	MinFree    int64      // bytes that must stay free; below 0: no limit
	FileLimit  uint64     // file descriptors this process may have
	Groups     []SyncTime // one write of so many 4 KiB messages, then one sync
	Expect     string     // the latency of an acknowledgement to expect, in words
	Warnings   []string   // what to change; empty when all is well
}

// SyncTime is how long it takes to write and sync a group of messages.
type SyncTime struct {
	Messages int // of 4 KiB
	P50, P99 time.Duration
}

const (
	doctorSyncs   = 200 // of the single message; fewer of the larger groups
	doctorMessage = 4 << 10
	fewFiles      = 4096
)

// Doctor measures the disk of the data folder with a file of its own, which it removes. It may run beside an engine, whose
// load it then measures too. An external engine is not asked.
func Doctor(ctx context.Context, cfg Config) (Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Report{}, err
	}
	folder, err := existing(cfg.Data)
	if err != nil {
		return Report{}, err
	}
	report := Report{Folder: folder, MinFree: cfg.MinFree}
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return report, fmt.Errorf("statfs %s: %w", folder, err)
	}
	report.Free = int64(fs.Bavail) * int64(fs.Bsize)
	report.FileSystem = fileSystem(fs)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return report, fmt.Errorf("getrlimit: %w", err)
	}
	report.FileLimit = files.Cur
	for _, group := range []struct{ messages, syncs int }{{1, doctorSyncs}, {16, 100}, {256, 30}} {
		times, err := timeSyncs(ctx, folder, group.messages, group.syncs)
		if err != nil {
			return report, err
		}
		report.Groups = append(report.Groups, times)
	}
	report.conclude(cfg)
	return report, nil
}

// existing is the data folder, or the nearest folder above that is there: the doctor makes nothing that stays.
func existing(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path, nil
		}
		if parent := filepath.Dir(path); parent != path {
			path = parent
			continue
		}
		return path, nil
	}
}

func timeSyncs(ctx context.Context, folder string, messages, syncs int) (SyncTime, error) {
	file, err := os.CreateTemp(folder, ".doctor-")
	if err != nil {
		return SyncTime{}, err
	}
	defer func() {
		file.Close()
		_ = os.Remove(file.Name())
	}()
	content := make([]byte, messages*doctorMessage)
	times := make([]time.Duration, 0, syncs)
	for range syncs {
		if err := ctx.Err(); err != nil {
			return SyncTime{}, err
		}
		began := time.Now()
		if _, err := file.Write(content); err != nil {
			return SyncTime{}, err
		}
		if err := fdatasync(file); err != nil {
			return SyncTime{}, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return SyncTime{Messages: messages, P50: times[len(times)/2], P99: times[len(times)*99/100]}, nil
}

// conclude turns the numbers into advice.
func (r *Report) conclude(cfg Config) {
	single := r.Groups[0]
	// Who comes while a sync runs waits for its end and for the next.
	r.Expect = fmt.Sprintf("an acknowledgement takes about %s alone, up to %s when many write at once, and %s once in a hundred",
		round(single.P50), round(2*single.P50), round(2*single.P99))
	if cfg.Durability == Written {
		r.Expect = "acknowledgements do not wait for the disk; a power cut loses what came in the last minutes"
	}
	if cfg.URL != "" {
		r.Expect = "the external engine acknowledges; its disks were not measured"
	}
	if single.P99 > 50*time.Millisecond {
		r.Warnings = append(r.Warnings, fmt.Sprintf("one sync in a hundred takes over %s: put engine.data on a faster disk", round(single.P99)))
	}
	if single.P50 < 20*time.Microsecond {
		r.Warnings = append(r.Warnings, "a sync takes next to no time: this disk may not keep what it says it has kept")
	}
	if r.MinFree > 0 && r.Free < r.MinFree {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d MiB are free, %d MiB must stay free: new work will be refused with HR5002", r.Free>>20, r.MinFree>>20))
	}
	if r.FileLimit < fewFiles {
		r.Warnings = append(r.Warnings, fmt.Sprintf("only %d files may be open: raise it with ulimit -n or LimitNOFILE", r.FileLimit))
	}
	switch {
	case r.FileSystem == "tmpfs":
		r.Warnings = append(r.Warnings, "the folder is in memory: nothing survives a restart of the machine")
	case strings.HasPrefix(r.FileSystem, "nfs"), r.FileSystem == "cifs", r.FileSystem == "fuse":
		r.Warnings = append(r.Warnings, "the folder is on "+r.FileSystem+": locks and syncs may not hold; use a local disk")
	case r.FileSystem == "xfs", r.FileSystem == "f2fs":
		r.Warnings = append(r.Warnings, "on "+r.FileSystem+" a block that the server compacts is not safe from a power cut for up to a second; ext4, btrfs and zfs keep the old one")
	}
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
