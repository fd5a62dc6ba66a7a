package merge

import (
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/problem"
)

// part is a part that is ready to be asked.
type part struct {
	title    string
	quoted   []byte // the title as JSON
	upstream *balance.Upstream
	retry    repetition
	call     string
	method   []byte
	path     *template
	body     *template // nil sends none
	waits    []int     // for other parts, each once
	needed   []int     // by these parts
	group    []byte
	target   []string
	filter   *filter
	optional bool
	timeout  time.Duration // 0 is that of the whole
	count    outcomes
}

func newPart(c *config.Part, params, names []string, find func(string) *balance.Upstream) (*part, error) {
	p := &part{
		title: c.Title(), quoted: strictjson.AppendText(nil, c.Title()), call: c.Call, method: []byte(c.Verb()),
		filter: newFilter(c.Pick, c.Drop, c.Rename), optional: c.Optional, timeout: c.Timeout,
	}
	if c.Group != "" {
		p.group = []byte(c.Group)
	}
	if c.Target != "" {
		p.target = strings.Split(c.Target, ".")
	}
	var err error
	if p.path, err = newTemplate(c.Path, false, params, names); err != nil {
		return nil, err
	}
	p.waits = p.path.parts
	if c.Body != "" {
		if p.body, err = newTemplate(c.Body, true, params, names); err != nil {
			return nil, err
		}
		p.waits = append(p.waits, p.body.parts...)
	}
	if p.call == "" {
		if p.upstream = find(c.Upstream); p.upstream == nil {
			return nil, problem.New("HR9003", "there is no upstream %q", c.Upstream)
		}
		p.retry = newRepetition(p.upstream.Config())
	}
	return p, nil
}

// take reads the answer of the part and appends what goes into the whole: one member with a group, else members of their own. Values are
// slices of the answer, or copies.
func (p *part) take(members []member, answer []byte) ([]member, error) {
	if len(p.target) > 0 {
		if err := strictjson.Check(answer, depth); err != nil {
			return members, p.unusable(err)
		}
		value, ok := find(answer, p.target)
		if !ok {
			return members, problem.New("HR4087", "the answer of %s has no %s", p.title, strings.Join(p.target, "."))
		}
		answer = value
	}
	s := strictjson.New(answer, depth)
	var err error
	switch {
	case p.group == nil:
		if s.Next() != '{' {
			return members, problem.New("HR4087", "the answer of %s is no object", p.title).Hinting("set group for the part")
		}
		err = p.filter.members(s, func(key, value []byte) { members = append(members, member{key, value}) })
	case p.filter == nil:
		var value []byte
		value, err = s.Value()
		members = append(members, member{p.group, value})
	default:
		var value []byte
		value, err = p.filter.value(nil, s)
		members = append(members, member{p.group, value})
	}
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return members, p.unusable(err)
	}
	return members, nil
}

func (p *part) unusable(err error) error {
	return problem.New("HR4087", "the answer of %s is no JSON that is taken: %s", p.title, problem.From(err).What)
}
