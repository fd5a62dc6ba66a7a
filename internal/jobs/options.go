package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// Option sets one option of a request from text, as in a query string. Durations carry units ("30s", "7d"), times are RFC 3339, lists are
// separated by commas. An unknown name and a malformed value are HR2004.
func (r *Request) Option(name, value string) error {
	var err error
	switch name {
	case "queue":
		if err := checkQueue(value); err != nil {
			return err
		}
		r.Queue = value
	case "delay":
		r.Delay, err = config.ParseDuration(value)
	case "run_at":
		if r.RunAt, err = time.Parse(time.RFC3339Nano, value); err != nil {
			return problem.New("HR2004", "run_at: %.60q is no time", value).At(name).Hinting("write RFC 3339, as in 2031-05-01T09:00:00+02:00")
		}
	case "expires":
		r.Expires, err = positive(value)
	case "priority":
		if _, ok := ParsePriority(value); !ok {
			return problem.New("HR2004", "no priority %q", value).At(name).Hinting("use low, normal, high or critical")
		}
		r.Priority = value
	case "key":
		r.Key = value
	case "key_limit":
		if r.KeyLimit, err = strconv.Atoi(value); err == nil && r.KeyLimit < 1 {
			return problem.New("HR2004", "key_limit %d is less than 1", r.KeyLimit).At(name)
		}
	case "unique":
		r.Unique = value
	case "unique_policy":
		newest := value == "newest"
		if !newest && value != "oldest" {
			return problem.New("HR2004", "no unique policy %q", value).At(name).Hinting("use oldest or newest")
		}
		r.Newest = &newest
	case "retries":
		var n int
		if n, err = strconv.Atoi(value); err == nil && n < 0 {
			return problem.New("HR2004", "retries %d is negative", n).At(name)
		}
		r.Retries = &n
	case "timeout":
		r.Timeout, err = positive(value)
	case "tags":
		r.Tags = []string{} // none, in place of those of the function
		if value != "" {
			r.Tags = strings.Split(value, ",")
		}
	case "after":
		for text := range strings.SplitSeq(value, ",") {
			id, err := ParseID(text)
			if err != nil {
				return err
			}
			r.After = append(r.After, id)
		}
	case "after_policy":
		r.Continue = value == "continue"
		if !r.Continue && value != "stop" {
			return problem.New("HR2004", "no after policy %q", value).At(name).Hinting("use stop or continue")
		}
	case "idempotency_key":
		r.Idempotency = value
	default:
		return problem.New("HR2004", "no option %q", name).At(name)
	}
	if err != nil {
		return problem.New("HR2004", "option %s: %w", name, err).At(name).Hinting("durations need a unit, as in 30s or 7d; times are RFC 3339")
	}
	return nil
}

// positive is a duration that limits something; none at all is said by leaving it out.
func positive(value string) (time.Duration, error) {
	d, err := config.ParseDuration(value)
	if err == nil && d <= 0 {
		err = errors.New("must be more than nothing")
	}
	return d, err
}

// checkQueue refuses names of queues that could not stand in a path of the API: HR2004.
func checkQueue(name string) error {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.:", c)
	}
	if name == "" || len(name) > 128 || strings.ContainsFunc(name, odd) || strings.Trim(name, ".") == "" {
		return problem.New("HR2004", "%.140q is no name of a queue", name).At("queue").Hinting("use at most 128 letters, digits and _ - . :")
	}
	return nil
}

// SetOptions sets options from a JSON object whose values are strings, numbers or lists of strings. Durations may be numbers of seconds.
func (r *Request) SetOptions(doc []byte) error {
	if len(doc) == 0 || bytes.Equal(doc, []byte("null")) {
		return nil
	}
	var options map[string]any
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	if err := decoder.Decode(&options); err != nil {
		return problem.New("HR2004", "options are not a JSON object: %w", err).At("options")
	}
	for name, value := range options {
		text := ""
		switch v := value.(type) {
		case nil:
			continue
		case string:
			text = v
		case json.Number:
			text = v.String()
			if name == "delay" || name == "expires" || name == "timeout" {
				text += "s"
			}
		case []any:
			parts := make([]string, len(v))
			for i, p := range v {
				s, ok := p.(string)
				if !ok {
					return problem.New("HR2004", "option %s holds something that is no string", name).At(name)
				}
				parts[i] = s
			}
			text = strings.Join(parts, ",")
		default:
			return problem.New("HR2004", "option %s is neither text nor a number", name).At(name)
		}
		if err := r.Option(name, text); err != nil {
			return err
		}
	}
	return nil
}
