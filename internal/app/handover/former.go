package handover

import (
	"bufio"
	"encoding/json"
	"fmt"

	"github.com/headrace/headrace/internal/config"
)

// Former is what a predecessor that could not be replaced tells the process that it starts in its own stead: the same program goes on with
// the configuration that worked, whatever is in its files by now.
type Former struct {
	Why   string        `json:"why"`   // the successor does not serve
	Texts []config.Text `json:"texts"` // of the configuration
}

// line is what is said of it; nothing is written to a disk, since the texts may hold secrets.
func (f *Former) line() ([]byte, error) {
	b, err := json.Marshal(f)
	return append(b, '\n'), err
}

func readFormer(in *bufio.Reader) (*Former, error) {
	f := &Former{}
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, f)
	}
	if err != nil {
		return nil, fmt.Errorf("the predecessor does not tell its configuration: %w", err)
	}
	return f, nil
}
