package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// mark is one line of the ledger that the functions write.
type mark struct {
	at      time.Time
	pid     int
	what    string // begin, done, fail
	ref, id string // id is - for a batch
	attempt int
}

func parseMark(line string) (m mark, err error) {
	f := strings.Fields(line)
	if len(f) != 6 {
		return m, fmt.Errorf("ledger: %d fields in %q", len(f), line)
	}
	at, err := strconv.ParseInt(f[0], 10, 64)
	if err == nil {
		m.pid, err = strconv.Atoi(f[1])
	}
	if err == nil {
		m.attempt, err = strconv.Atoi(f[5])
	}
	m.at, m.what, m.ref, m.id = time.Unix(0, at), f[2], f[3], f[4]
	if err == nil && m.what != "begin" && m.what != "done" && m.what != "fail" {
		err = fmt.Errorf("ledger: what is %q", m.what)
	}
	return m, err
}

// readLedger reads all marks in the order in which they were written.
func readLedger(name string) (marks []mark, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		m, err := parseMark(lines.Text())
		if err != nil {
			return nil, err
		}
		marks = append(marks, m)
	}
	return marks, nil
}
