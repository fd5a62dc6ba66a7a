package engine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestFolderIsHeldByOneProcess(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "data")
	e := open(t, Config{Data: data})
	info, err := os.Stat(data)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	_, err = Open(t.Context(), Config{Data: data}, nil)
	wantCode(t, err, "HR5003")
	if !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Error(err)
	}
	stop(t, e)
	open(t, Config{Data: data})
}

func TestFolderOfNewerVersionIsLeftAlone(t *testing.T) {
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "format"), []byte("2\n"), 0o600))
	_, err := Open(t.Context(), Config{Data: data}, nil)
	wantCode(t, err, "HR5004")
	entries, err := os.ReadDir(data)
	must(t, err)
	if len(entries) != 1 {
		t.Fatal(entries)
	}
	must(t, os.WriteFile(filepath.Join(data, "format"), []byte("one"), 0o600))
	_, err = Open(t.Context(), Config{Data: data}, nil)
	wantCode(t, err, "HR5005")
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(t.Context(), Config{Data: filepath.Join(file, "data")}, nil)
	wantCode(t, err, "HR5005")
}
