package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/rig"
)

// redis is the server of a rival.
type redis struct {
	*process
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// startRedis starts an empty server whose append-only file is synced as appendfsync says: everysec or always.
func startRedis(ctx context.Context, dir, appendfsync string) (*redis, error) {
	addr := rig.FreeAddr()
	p, err := spawn("redis", dir, nil, "redis-server", "--bind", "127.0.0.1", "--port", rig.Port(addr), "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", appendfsync)
	if err != nil {
		return nil, err
	}
	if err := p.listening(ctx, addr); err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &redis{process: p, addr: addr, conn: conn, in: bufio.NewReader(conn)}, nil
}

// integer runs a command that answers with a number.
func (r *redis) integer(words ...string) (int, error) {
	line, err := r.command(words...)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimPrefix(line, ":"))
}

func (r *redis) command(words ...string) (string, error) {
	_ = r.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(r.conn, "%s\r\n", strings.Join(words, " ")); err != nil { // an inline command
		return "", err
	}
	line, err := r.in.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-") {
		err = fmt.Errorf("redis: %s", line[1:])
	}
	return strings.TrimSpace(line), err
}
