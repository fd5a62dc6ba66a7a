package engine

import (
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestServerVersion guards what blocks.go and clock.go assume of the server's files. When it fails, read in
// server/filestore.go of the new version: storeRawMsg and flushPendingMsgsLocked (written before the PubAck, fs.fip),
// newMsgBlockForWrite (index+1, old block final), compactLocked and compactWithFloor (rename), purgeLocked (msgs folder
// replaced), and server/stream.go for AsyncFlush. Then set the version here.
func TestServerVersion(t *testing.T) {
	const read = "2.15.2"
	if server.VERSION != read {
		t.Fatalf("the commit clock was checked against the files of nats-server %s, this is %s: see the comment of this test", read, server.VERSION)
	}
}

// TestLayout checks what of it can be seen from outside.
func TestLayout(t *testing.T) {
	e := open(t, Config{})
	js := connect(t, e)
	stream, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	files := openBlocks(e.folder.join("jetstream", "$G", "streams"), "ORDERS", syncFile)
	if _, highest, err := files.list(); err != nil || highest != 1 {
		t.Fatalf("a new stream has block %d: %v", highest, err)
	}
	size := func(index int) int64 {
		info, err := os.Stat(files.block(index))
		must(t, err)
		return info.Size()
	}
	var before int64
	for i := range 300 {
		_, err := js.Publish(t.Context(), "orders.1", body(i))
		must(t, err)
		there, highest, err := files.list()
		must(t, err)
		if len(there) != highest {
			t.Fatalf("blocks are not 1 to n: %v", there)
		}
		total := int64(0)
		for index := range highest {
			total += size(index + 1)
		}
		if total < before+int64(len(body(i))) {
			t.Fatalf("message %d was acknowledged before it was written", i)
		}
		before = total
	}
	if _, highest, _ := files.list(); highest != 3 {
		t.Fatalf("%d blocks, want 3: blocks are not of 8 MiB", highest)
	}
	must(t, stream.Purge(t.Context()))
	_, highest, err := files.list()
	must(t, err)
	if highest != 4 {
		t.Fatalf("newest block is %d after a purge, want 4", highest)
	}
	for _, name := range []string{"meta.inf", "meta.sum", "obs"} {
		_, err := os.Stat(files.dir + "/" + name)
		must(t, err)
	}
}
