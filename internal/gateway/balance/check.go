package balance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/gateway/upstream"
)

// errBusy says nothing of a target: the check found no free connection.
var errBusy = errors.New("all connections are in use")

// check asks a target again and again whether it is well. The first answer counts at once, so that a new target is soon in use or out of it.
func (u *Upstream) check(ctx context.Context, t *Target) {
	c := u.cfg.Health
	good, bad := 0, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(c.Interval - c.Interval/20 + rand.N(c.Interval/10+1)) // not all at the same time
		err := t.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			good, bad = good+1, 0
		case errors.Is(err, errBusy):
			continue
		default:
			good, bad = 0, bad+1
		}
		u.checkEnded(t, good, bad, err)
		u.restart(t)
	}
}

func (u *Upstream) checkEnded(t *Target, good, bad int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.cfg.Health
	switch {
	case t.left:
	case err == nil && !t.checked:
		u.change(t, "", func() { t.checked, t.bad = true, false })
	case err == nil && t.bad && good >= c.Healthy:
		t.back()
		u.change(t, "", func() { t.bad = false })
	case err != nil && (!t.checked || !t.bad && bad >= c.Unhealthy):
		u.change(t, "health check: "+err.Error(), func() { t.checked, t.bad = true, true })
	case err != nil && t.bad:
		t.why = "health check: " + err.Error()
	}
}

// ask sends one request and judges the answer.
func (t *Target) ask(ctx context.Context) error {
	c := t.upstream.cfg
	ctx, cancel := context.WithTimeout(ctx, c.Health.Timeout)
	defer cancel()
	status, err := 0, error(nil)
	if c.Protocol == "h2" {
		status, err = t.askStandard(ctx)
	} else {
		status, err = t.askPlain(ctx)
	}
	switch {
	case err != nil:
		return err
	case c.Health.Status == status, c.Health.Status == 0 && status >= 200 && status <= 399:
		return nil
	}
	return fmt.Errorf("status %d", status)
}

func (t *Target) askPlain(ctx context.Context) (int, error) {
	deadline, _ := ctx.Deadline()
	call := upstream.Call{
		Head:   []byte("GET " + t.upstream.cfg.Health.Path + " HTTP/1.1\r\nHost: " + t.url.Host + "\r\nUser-Agent: headrace\r\nAccept: */*\r\n"),
		Method: []byte("GET"), Deadline: deadline,
	}
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	err := t.client.Do(&call, resp)
	if call.Stream != nil {
		defer call.Stream.Close()
	}
	var failure *upstream.Error
	if errors.As(err, &failure) && failure.Stage == upstream.Busy {
		return 0, errBusy
	}
	return resp.StatusCode(), err
}

func (t *Target) askStandard(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.Scheme+"://"+t.url.Host+t.upstream.cfg.Health.Path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "headrace")
	resp, err := t.Transport().RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
