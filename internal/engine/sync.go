package engine

import "os"

// syncFunc makes a file or folder durable.
type syncFunc func(*os.File, extent) error

// extent is what of a file must be durable.
type extent bool

const (
	contentOnly extent = false // content and length
	everything  extent = true  // also times and, of a folder, the names in it
)

func syncFile(file *os.File, what extent) error {
	if what == everything {
		return file.Sync()
	}
	return fdatasync(file)
}
