package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A block file of the embedded engine is a row of records, each of which begins with its length (the highest bit tells of headers) and its
// sequence (the highest bit tells of a tombstone).
const (
	recordHeader = 22
	headersBit   = 1 << 31
	tombstoneBit = 1 << 63
)

// record is where the last record of a block lies.
type record struct {
	offset, size int64
	tombstone    bool
}

var errNoRecord = errors.New("no whole record at the end of the block")

// lastRecord finds the last record of a block.
func lastRecord(block []byte) (r record, err error) {
	for at := int64(0); ; {
		rest := block[at:]
		if len(rest) == 0 && at > 0 {
			return r, nil
		}
		if len(rest) < recordHeader {
			return record{}, errNoRecord
		}
		size := int64(binary.LittleEndian.Uint32(rest) &^ headersBit)
		if size < recordHeader || size > int64(len(rest)) {
			return record{}, errNoRecord
		}
		r = record{at, size, binary.LittleEndian.Uint64(rest[4:])&tombstoneBit != 0}
		at += size
	}
}

// newestBlock is the file of the stream that the engine appends to.
func newestBlock(data, stream string) (string, error) {
	dir := filepath.Join(data, "jetstream", "$G", "streams", stream, "msgs")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	newest := 0
	for _, e := range entries {
		if name, is := strings.CutSuffix(e.Name(), ".blk"); is {
			if n, err := strconv.Atoi(name); err == nil {
				newest = max(newest, n)
			}
		}
	}
	if newest == 0 {
		return "", fmt.Errorf("no blocks in %s", dir)
	}
	return filepath.Join(dir, strconv.Itoa(newest)+".blk"), nil
}

// cutPower makes the newest block what a power cut may leave of it: its last record, which nobody has synced, is there up to a share. What
// is behind is missing, or zeros, or the bytes of something else.
func cutPower(data, stream string, share float64, dice int) (told string, err error) {
	file, err := newestBlock(data, stream)
	if err != nil {
		return "", err
	}
	block, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	last, err := lastRecord(block)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if last.tombstone {
		return "", fmt.Errorf("%s: the last record is a tombstone", file)
	}
	at := last.offset + int64(share*float64(last.size))
	how := []string{"cut off", "zeros", "garbage"}[dice%3]
	switch how {
	case "cut off":
		block = block[:at]
	case "zeros":
		clear(block[at:])
	case "garbage":
		for i := at; i < int64(len(block)); i++ {
			block[i] ^= byte(0x5a + i)
		}
	}
	if err := os.WriteFile(file, block, 0o600); err != nil {
		return "", err
	}
	told = fmt.Sprintf("%s: record of %d bytes at %d, %s from %d", filepath.Base(file), last.size, last.offset, how, at)
	if dice/3%2 == 0 { // the server's cache of its blocks
		told += ", no index.db"
		if err := os.Remove(filepath.Join(filepath.Dir(file), "index.db")); err != nil && !os.IsNotExist(err) {
			return "", err
		}
	}
	if dice/6%2 == 0 { // the index of jobs, which is a projection
		told += ", no job index"
		names, err := filepath.Glob(filepath.Join(data, "jobs-*.db*"))
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return "", err
			}
		}
	}
	return told, nil
}
