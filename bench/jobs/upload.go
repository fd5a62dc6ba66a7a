package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// uploaded is scenario 7: a file is stored as a blob and given to a job that reads all of it. Measured is by how much the peak of the
// server's resident size exceeds its size before.
func (b *bout) uploaded(ctx context.Context, server int) error {
	before := rig.Resident(server)
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
	blob, err := b.put(conn)
	if err != nil {
		return err
	}
	status, body, err := conn.Do(post(nil, "/v1/jobs/measure", "application/json", fmt.Sprintf(`{"index":%d,"table":%s}`, b.next, blob)))
	if err != nil {
		return err
	}
	if err := accepted(0, status, body, time.Time{}, time.Time{}); err != nil {
		return err
	}
	var job struct{ ID string }
	if err := json.Unmarshal(body, &job); err != nil {
		return err
	}
	b.owe(1)
	if err := b.settle(ctx, time.Minute); err != nil {
		return err
	}
	b.note(uploadGrowth, mega(max(0, peak(server)-before)))
	status, body, err = conn.Do(get(nil, "/v1/jobs/"+job.ID+"/result"))
	if err == nil && strings.TrimSpace(string(body)) != fmt.Sprint(b.upload) {
		err = fmt.Errorf("the job read %s bytes of %d, status %d", body, b.upload, status)
	}
	if err != nil {
		return err
	}
	return b.ledger.check(b.next-1, 1)
}

// put stores a file of its own content each time, since blobs are known by their content, and returns the reference.
func (b *bout) put(conn *load.Conn) ([]byte, error) {
	head := fmt.Sprintf("PUT /v1/blobs?name=table.csv HTTP/1.1\r\nHost: bench\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n", b.upload)
	if _, err := conn.Write([]byte(head)); err != nil {
		return nil, err
	}
	piece := fmt.Appendf(nil, "file %d\n", b.next)
	for len(piece) < 1<<20 {
		piece = append(piece, "2024-05-01T12:00:00Z,turbine-17,48.1371,11.5754,3021.5,0.9931\n"...)
	}
	for left := b.upload; left > 0; left -= len(piece) {
		if _, err := conn.Write(piece[:min(left, len(piece))]); err != nil {
			return nil, err
		}
	}
	status, body, err := conn.Answer()
	if err == nil && (status < 200 || status > 299) {
		err = fmt.Errorf("PUT /v1/blobs: status %d: %.500s", status, body)
	}
	return append([]byte(nil), body...), err
}
