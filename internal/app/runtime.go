package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	pythonsdk "github.com/headrace/headrace/sdk/python"
)

// extract puts the Python SDK that the binary carries under the data folder and returns the folder for PYTHONPATH. Its name holds the
// content's hash, so that two versions never mix.
func extract(data string) (string, error) {
	sum := sha256.New()
	var files []string
	err := fs.WalkDir(pythonsdk.Files, "src", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := pythonsdk.Files.ReadFile(name)
		if err != nil {
			return err
		}
		files = append(files, name)
		sum.Write([]byte(name))
		sum.Write(body)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the Python SDK: %w", err)
	}
	folder, err := filepath.Abs(filepath.Join(data, "runtime", "python-"+hex.EncodeToString(sum.Sum(nil)[:8])))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	fresh, err := os.MkdirTemp(mkdir(filepath.Dir(folder)), "new-")
	if err != nil {
		return "", fmt.Errorf("unpack the Python SDK: %w", err)
	}
	for _, name := range files {
		body, err := pythonsdk.Files.ReadFile(name)
		if err != nil {
			return "", err
		}
		to := filepath.Join(fresh, filepath.FromSlash(name[len("src/"):]))
		if err := os.WriteFile(filepath.Join(mkdir(filepath.Dir(to)), filepath.Base(to)), body, 0o600); err != nil {
			return "", fmt.Errorf("unpack the Python SDK: %w", err)
		}
	}
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("unpack the Python SDK: %w", err)
	}
	return folder, nil
}

// mkdir makes a folder; that it could not is seen by whoever writes into it.
func mkdir(folder string) string {
	_ = os.MkdirAll(folder, 0o700)
	return folder
}
