package service

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

const firstLook, slowestLook = 5 * time.Millisecond, 200 * time.Millisecond

// await waits until a process takes connections, and its health check answers if there is one. A process that does not get there within
// start_timeout is killed.
func (r *Replica) await(ctx context.Context, name string) error {
	limit, cancel := context.WithTimeout(ctx, r.cfg.StartTimeout)
	defer cancel()
	ask := r.asker()
	defer ask.CloseIdleConnections()
	pause := firstLook
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		err := r.look(limit, ask)
		select {
		case <-r.exited:
			return problem.New("HR4025", "replica %d of %s ended before it was ready: %s", r.Number, name, r.ending())
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-timer.C:
			pause = min(2*pause, slowestLook)
			timer.Reset(pause)
		case <-r.exited:
		case <-limit.Done():
			r.end()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return problem.New("HR4025", "replica %d of %s is not ready after %s: %w%s", r.Number, name, r.cfg.StartTimeout, err, r.last.told())
		}
	}
}

func (r *Replica) asker() *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, r.Network, r.Address)
		},
		DisableKeepAlives: true,
	}
	if r.cfg.Protocol == "h2" {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{
		Transport: transport, Timeout: r.cfg.Health.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (r *Replica) look(ctx context.Context, ask *http.Client) error {
	if r.cfg.Health.Path == "" {
		c, err := (&net.Dialer{}).DialContext(ctx, r.Network, r.Address)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+r.cfg.Health.Path, nil)
	if err != nil {
		return err
	}
	resp, err := ask.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if want := r.cfg.Health.Status; want == resp.StatusCode || want == 0 && resp.StatusCode >= 200 && resp.StatusCode <= 399 {
		return nil
	}
	return fmt.Errorf("%s answers with status %d", r.cfg.Health.Path, resp.StatusCode)
}
