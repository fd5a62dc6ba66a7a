package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// smallDisk is a file system in memory that holds the data folder for a while.
type smallDisk struct {
	mount, ballast string
	before         string // the data folder it stands for
}

// reserve is what must stay free on the small disk.
const reserve = 16 << 20

// mountSmall moves the data of a dead headrace to a small disk. Without the right to mount it is errors.ErrUnsupported.
func (s *suite) mountSmall(ctx context.Context) error {
	d := &smallDisk{mount: filepath.Join(s.dir, "small"), before: s.node.data}
	d.ballast = filepath.Join(d.mount, "ballast")
	if err := os.MkdirAll(d.mount, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("none", d.mount, "tmpfs", 0, fmt.Sprintf("size=%d", 2*s.size()+4*reserve)); err != nil {
		return fmt.Errorf("%w: mount: %w", errors.ErrUnsupported, err)
	}
	s.full = d
	inside := filepath.Join(d.mount, "data")
	s.node.data = inside
	return exec.CommandContext(ctx, "cp", "-a", d.before, inside).Run()
}

// unmountSmall moves the data of a dead headrace back.
func (s *suite) unmountSmall(ctx context.Context) error {
	d := s.full
	if err := os.RemoveAll(d.before); err != nil {
		return err
	}
	if err := exec.CommandContext(ctx, "cp", "-a", s.node.data, d.before).Run(); err != nil {
		return err
	}
	s.node.data, s.full = d.before, nil
	d.remove()
	return nil
}

func (d *smallDisk) remove() {
	if err := syscall.Unmount(d.mount, syscall.MNT_DETACH); err != nil {
		fmt.Println("unmount", d.mount, err)
	}
}

// fill leaves so many bytes free, or what is free already. Headrace writes meanwhile, so what was free a moment ago may not be.
func (d *smallDisk) fill(leave int64) error {
	file, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(d.mount, &fs); err != nil {
			return err
		}
		size := int64(fs.Bavail)*fs.Bsize - leave
		if size <= 0 {
			return nil
		}
		if err := syscall.Fallocate(int(file.Fd()), 0, 0, size); !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
}

func (d *smallDisk) empty() error { return os.Remove(d.ballast) }

// onSmall restarts headrace on the small disk, does the work, and moves back.
func (s *suite) onSmall(ctx context.Context, work func() (string, error)) (string, error) {
	from := time.Now()
	s.node.kill()
	if _, err := s.died(ctx, from); err != nil {
		return "", err
	}
	if err := s.mountSmall(ctx); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return "", s.guardOnly(ctx)
		}
		return "", err
	}
	if err := s.start(ctx, settings{minFree: fmt.Sprintf("%dB", reserve)}, time.Time{}); err != nil {
		return "", err
	}
	told, err := work()
	if err != nil {
		return "", err
	}
	from = time.Now()
	s.node.kill()
	if _, err := s.died(ctx, from); err != nil {
		return "", err
	}
	if err := s.unmountSmall(ctx); err != nil {
		return "", err
	}
	return told, s.start(ctx, settings{fault: s.next()}, time.Time{})
}

// guardOnly is what can be tested on a disk that cannot be filled: a reserve that is larger than what is free.
func (s *suite) guardOnly(ctx context.Context) error {
	if err := s.start(ctx, settings{minFree: "1000TiB"}, time.Time{}); err != nil {
		return err
	}
	if err := s.refused(ctx, http.StatusInsufficientStorage); err != nil {
		return err
	}
	if err := s.quiet(ctx); err != nil {
		return err
	}
	return s.restart(ctx, settings{fault: s.next()})
}

// diskGuard fills the disk up to the reserve: new work is refused, what is there runs to its end, and with room again new work is taken.
func (s *suite) diskGuard(ctx context.Context, _ step) (string, error) {
	return s.onSmall(ctx, func() (string, error) {
		if err := s.full.fill(reserve / 4 * 3); err != nil {
			return "", err
		}
		if err := s.refused(ctx, http.StatusInsufficientStorage); err != nil {
			return "", err
		}
		if err := s.quiet(ctx); err != nil {
			return "", err
		}
		if err := s.full.empty(); err != nil {
			return "", err
		}
		return "refused, ran out, taken again", s.refused(ctx, http.StatusAccepted)
	})
}

// diskFull leaves less than the journal needs for what already runs: headrace ends or refuses, and loses nothing.
func (s *suite) diskFull(ctx context.Context, one step) (string, error) {
	return s.onSmall(ctx, func() (string, error) {
		if err := s.full.fill(int64(one.dice) << 8); err != nil {
			return "", err
		}
		told := "gave up"
		from := time.Now()
		if s.node.gone(ctx, 3*time.Second+one.hold) == errLate {
			told = "went on"
			s.node.kill()
		}
		if _, err := s.died(ctx, from); err != nil {
			return "", err
		}
		if err := s.full.empty(); err != nil {
			return "", err
		}
		return told, s.start(ctx, settings{minFree: fmt.Sprintf("%dB", reserve)}, time.Time{})
	})
}

// quiet waits until every acknowledged job has ended.
func (s *suite) quiet(ctx context.Context) error {
	var open []*entry
	err := poll(ctx, 40*time.Second, 50*time.Millisecond, func() bool {
		open = s.book.acknowledged(true)
		return len(open) == 0
	})
	if err == errLate {
		s.book.violation("%d acknowledged jobs do not end while new ones are refused, as %s %s", len(open), open[0].kind, open[0].id)
		err = nil
	}
	return err
}

// acked notes the acknowledgement of a probe.
func (s *suite) acked(e *entry, body []byte) {
	var told struct{ ID string }
	if err := json.Unmarshal(body, &told); err == nil {
		s.book.ack(e, told.ID)
	}
}
