package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// request is one call of the admin API.
type request struct {
	method string
	path   []string // segments, not escaped
	query  url.Values
	header http.Header
	body   io.Reader
	size   int64 // of the body; 0 if not known
}

// locate finds the server: by flag, by environment, or as the configuration in this folder says. Of that the section admin alone is read, so that
// what is wrong elsewhere does not stop a verb that only talks to a server. If that cannot be read, another server must not be asked instead.
func (a *app) locate() error {
	a.server = or(a.server, a.get("HEADRACE_SERVER"))
	a.token = or(a.token, a.get("HEADRACE_TOKEN_FILE"))
	if a.server != "" {
		return nil
	}
	files, flags, err := a.sources()
	if err != nil {
		return err
	}
	admin, err := config.ReadAdmin(files, a.Environ, flags)
	if err != nil {
		p := problem.From(err)
		return p.Hinting("%s; or name the server with --server", p.Hint)
	}
	host, port, _ := net.SplitHostPort(admin.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	a.server = "http://" + net.JoinHostPort(host, port)
	a.token = or(a.token, admin.TokenFile)
	return nil
}

// send makes the call. An answer of 400 or more becomes the problem that it carries; the body of any other is the caller's to close.
func (a *app) send(ctx context.Context, r request) (*http.Response, error) {
	if err := a.locate(); err != nil {
		return nil, err
	}
	base, err := url.Parse(a.server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usage("--server %s is not an address", a.server).Hinting("write http://host:port")
	}
	segments := make([]string, len(r.path))
	for i, segment := range r.path {
		segments[i] = url.PathEscape(segment)
	}
	target := strings.TrimSuffix(base.String(), "/") + "/v1/" + strings.Join(segments, "/")
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	call, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		call.Header[name] = values
	}
	if r.size > 0 {
		call.ContentLength = r.size
	}
	if a.token != "" {
		token, err := os.ReadFile(a.path(a.token))
		if err != nil {
			return nil, usage("token file: %w", err).Hinting("name a file that can be read with --token-file")
		}
		call.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answer, err := http.DefaultClient.Do(call)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, problem.New("HR9006", "no server at %s: %w", a.server, err)
	}
	if answer.StatusCode >= 400 {
		defer answer.Body.Close()
		return nil, a.refusal(answer)
	}
	return answer, nil
}

// refusal reads a problem+json answer.
func (a *app) refusal(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var told struct{ Code, Title, Detail, Where, Hint string }
	if json.Unmarshal(body, &told) != nil || told.Code == "" {
		return problem.New("HR9006", "%s answered %s, which is not an answer of headrace", a.server, answer.Status).
			Hinting("set --server to the address of admin.listen")
	}
	if _, known := problem.Catalogue()[told.Code]; !known {
		return &problem.Error{Code: told.Code, What: or(told.Detail, told.Title), Where: told.Where, Hint: or(told.Hint, "use the headrace of the server's version")}
	}
	e := problem.New(told.Code, "%s", or(told.Detail, told.Title)).At(told.Where).Answering(answer.StatusCode)
	if told.Hint != "" {
		e = e.Hinting("%s", told.Hint)
	}
	return e
}

// ask makes the call, prints the answer as it is for programs, and decodes it into v for people. It returns whether v is to be shown.
func (a *app) ask(ctx context.Context, r request, v any) (show bool, err error) {
	answer, err := a.send(ctx, r)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return false, problem.New("HR9006", "%s broke off its answer: %w", a.server, err)
	}
	if a.output == "json" {
		return false, a.printJSON(body)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return true, nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return false, problem.New("HR9006", "%s answered with something else than JSON", a.server).
			Hinting("set --server to the address of admin.listen")
	}
	return true, nil
}
