package jobs

import (
	"log/slog"
	"path/filepath"
	"testing"
)

// A row that cannot be encoded is not written, and nothing of it comes into the next write.
func TestWriteAfterARowThatCannotBeEncoded(t *testing.T) {
	x, err := openIndex(filepath.Join(t.TempDir(), "index"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.close() })
	good := row{Info: Info{Function: "good", Queue: "q"}, id: ID{1}}
	bad := row{Info: Info{Function: "bad", Queue: "q", Progress: []byte("{")}, id: ID{2}}
	if err := x.write([]row{good, bad}, 7); err == nil {
		t.Fatal("it was written")
	}
	if _, err := x.get(good.id); err == nil {
		t.Error("half of a write is there")
	}
	next := row{Info: Info{Function: "next", Queue: "q"}, id: ID{3}}
	if err := x.write([]row{next}, 8); err != nil {
		t.Fatal(err)
	}
	if r, err := x.get(next.id); err != nil || r.Function != "next" {
		t.Error(r, err)
	}
	if seq, err := x.applied(); err != nil || seq != 8 {
		t.Error(seq, err)
	}
}
