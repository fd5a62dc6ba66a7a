package live

import (
	"encoding/json"

	"github.com/headrace/headrace/internal/live/channel"
	"github.com/headrace/headrace/internal/live/rules"
)

// rule decides what a client may do. A nil rule allows nothing.
type rule struct {
	compiled *rules.Rule
	constant bool
	always   bool
}

// asking is what a rule knows.
type asking struct {
	who    *who
	client string
	name   channel.Name
}

func newRule(text string) (*rule, error) {
	if text == "" {
		return nil, nil
	}
	compiled, err := rules.Compile(text)
	if err != nil {
		return nil, err
	}
	r := &rule{compiled: compiled}
	r.always, r.constant = compiled.Constant()
	return r, nil
}

func (r *rule) allows(a asking) bool {
	if r == nil || r.constant {
		return r != nil && r.always
	}
	env := rules.Env{User: a.who.user, Client: a.client, Channel: a.name.Full, ID: a.name.ID, Users: a.name.Users()}
	if a.who.claims != nil && json.Unmarshal(a.who.claims, &env.Claims) != nil {
		return false
	}
	return r.compiled.Allow(env)
}
