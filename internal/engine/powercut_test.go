package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// body is large, so that blocks (8 MiB) roll every 130 messages.
func body(i int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%07d ", i), 8<<10)
}

// committed are the messages that were acknowledged, by sequence.
type committed struct {
	mu     sync.Mutex
	bodies map[uint64]int
}

func (c *committed) add(seq uint64, i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies[seq] = i
}

func (c *committed) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bodies)
}

func (c *committed) copy() map[uint64]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[uint64]int{}
	for seq, i := range c.bodies {
		all[seq] = i
	}
	return all
}

// publish stores and commits the message with this body.
func publish(ctx context.Context, e *Engine, js jetstream.JetStream, c *committed, i int) error {
	ack, err := js.Publish(ctx, "orders."+strconv.Itoa(i%10), body(i))
	if err != nil {
		return err
	}
	if err := e.Commit(ctx, "ORDERS"); err != nil {
		return err
	}
	c.add(ack.Sequence, i)
	return nil
}

// missing opens the folder and tells what of the messages is not there.
func missing(t *testing.T, data string, want map[uint64]int) error {
	t.Helper()
	e := open(t, Config{Data: data})
	defer stop(t, e)
	js := connect(t, e)
	stream, err := js.Stream(t.Context(), "ORDERS")
	if err != nil {
		return err
	}
	for seq, i := range want {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			return fmt.Errorf("message %d of %d: %w", seq, len(want), err)
		}
		if !bytes.Equal(msg.Data, body(i)) {
			return fmt.Errorf("message %d has another content", seq)
		}
	}
	_, err = js.Publish(t.Context(), "orders.after", nil)
	return err
}

// TestPowerCut takes the power away again and again while eight publishers roll blocks.
func TestPowerCut(t *testing.T) {
	disk, data := newDisk(), t.TempDir()
	e := open(t, Config{Data: data, sync: disk.sync})
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	log := &committed{bodies: map[uint64]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	for p := range 8 {
		publishers.Go(func() {
			for i := p; i < 400 && ctx.Err() == nil; i += 8 {
				if err := publish(ctx, e, js, log, i); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, after := range []int{1, 140, 270} {
		for deadline := time.After(time.Minute); log.count() < after; {
			select {
			case <-deadline:
				t.Fatal("publishers are stuck")
			case <-time.After(time.Millisecond):
			}
		}
		want := log.copy() // before the cut: all of it must be there
		if err := missing(t, disk.cut(t, data), want); err != nil {
			t.Fatalf("cut after %d messages: %v", len(want), err)
		}
	}
	cancel()
	publishers.Wait()
}

// TestPowerCutWithoutCommit shows that the disk of these tests does lose what nobody committed.
func TestPowerCutWithoutCommit(t *testing.T) {
	disk, data := newDisk(), t.TempDir()
	e := open(t, Config{Data: data, sync: disk.sync})
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	log := &committed{bodies: map[uint64]int{}}
	must(t, publish(t.Context(), e, js, log, 0))
	ack, err := js.Publish(t.Context(), "orders.1", body(1))
	must(t, err)
	want := log.copy()
	want[ack.Sequence] = 1
	if missing(t, disk.cut(t, data), want) == nil {
		t.Fatal("a message that was not committed survived")
	}
}

// TestPowerCutAfterRewrite has the server rewrite, drop and move blocks that hold committed messages.
func TestPowerCutAfterRewrite(t *testing.T) {
	for name, rewrite := range map[string]func(jetstream.Stream, map[uint64]int) error{
		"purge up to a message": func(s jetstream.Stream, want map[uint64]int) error {
			for seq := range uint64(219) {
				delete(want, seq+1)
			}
			return s.Purge(t.Context(), jetstream.WithPurgeSequence(220))
		},
		"purge of everything": func(s jetstream.Stream, want map[uint64]int) error {
			clear(want)
			return s.Purge(t.Context())
		},
		"delete inside": func(s jetstream.Stream, want map[uint64]int) error {
			for seq := uint64(2); seq < 110; seq++ {
				delete(want, seq)
				if err := s.DeleteMsg(t.Context(), seq); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk, data := newDisk(), t.TempDir()
			e := open(t, Config{Data: data, sync: disk.sync})
			js := connect(t, e)
			stream, err := e.Stream(t.Context(), js, orders)
			must(t, err)
			log := &committed{bodies: map[uint64]int{}}
			var publishers sync.WaitGroup
			for p := range 8 { // who commit together
				publishers.Go(func() {
					for i := p; i < 240; i += 8 {
						if err := publish(t.Context(), e, js, log, i); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			publishers.Wait()
			want := log.copy()
			must(t, rewrite(stream, want))
			log.bodies = want
			for i := range 3 {
				must(t, publish(t.Context(), e, js, log, 1000+i))
			}
			// What the server rewrites by itself is synced within a second or so.
			var lost error
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				if lost = missing(t, disk.cut(t, data), log.copy()); lost == nil {
					return
				}
			}
			t.Fatal(lost)
		})
	}
}

// TestPowerCutAfterRewriteOfNewest has the server replace the block that the clock holds open: the next commit must see it.
func TestPowerCutAfterRewriteOfNewest(t *testing.T) {
	disk, data := newDisk(), t.TempDir()
	e := open(t, Config{Data: data, sync: disk.sync})
	js := connect(t, e)
	stream, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	log := &committed{bodies: map[uint64]int{}}
	for i := range 60 {
		must(t, publish(t.Context(), e, js, log, i))
	}
	before, err := os.Stat(filepath.Join(data, "jetstream", "$G", "streams", "ORDERS", "msgs", "1.blk"))
	must(t, err)
	must(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(51)))
	after, err := os.Stat(filepath.Join(data, "jetstream", "$G", "streams", "ORDERS", "msgs", "1.blk"))
	must(t, err)
	if os.SameFile(before, after) {
		t.Fatal("the block was not rewritten; make the purge larger")
	}
	log = &committed{bodies: map[uint64]int{}}
	must(t, publish(t.Context(), e, js, log, 60))
	must(t, missing(t, disk.cut(t, data), log.copy()))
}
