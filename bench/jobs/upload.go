package main

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/load"
)

const boundary = "headrace-bench"

// uploaded is scenario 7: a file is sent as one part of a multipart request to a job that reads all of it. Measured is by how much
// the peak of the server's resident size exceeds its size before.
func (b *bout) uploaded(ctx context.Context, server int) error {
	head := fmt.Sprintf("--%s\r\nContent-Disposition: form-data; name=\"index\"\r\n\r\n%d\r\n"+
		"--%s\r\nContent-Disposition: form-data; name=\"table\"; filename=\"table.csv\"\r\nContent-Type: text/csv\r\n\r\n", boundary, b.next, boundary)
	tail := "\r\n--" + boundary + "--\r\n"
	row := []byte("2024-05-01T12:00:00Z,turbine-17,48.1371,11.5754,3021.5,0.9931\n")
	piece := make([]byte, 0, 1<<20)
	for len(piece)+len(row) <= cap(piece) {
		piece = append(piece, row...)
	}
	before := resident(server)
	if err := resetPeak(server); err != nil {
		return err
	}
	conn, err := load.Dial(b.addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Deadline(time.Unix(1, 0)) })()
	_ = conn.Deadline(time.Now().Add(time.Minute))
	request := fmt.Sprintf("POST /v1/jobs/measure HTTP/1.1\r\nHost: bench\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n%s",
		boundary, len(head)+b.upload+len(tail), head)
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	for left := b.upload; left > 0; left -= len(piece) {
		if _, err := conn.Write(piece[:min(left, len(piece))]); err != nil {
			return err
		}
	}
	status, body, err := conn.Do([]byte(tail))
	if err != nil {
		return err
	}
	if err := accepted(0, status, body, time.Time{}, time.Time{}); err != nil {
		return err
	}
	b.owe(1)
	if err := b.settle(ctx, time.Minute); err != nil {
		return err
	}
	b.note(uploadGrowth, mega(max(0, peak(server)-before)))
	return b.ledger.check(b.next-1, 1)
}
