package serverapi

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/headrace/headrace/internal/problem"
)

const together = 64 // commands of a parallel batch that run at once

// Batch answers several commands, one after the other or, if it asks for that, at once. All are read before the first one is done: HR2001,
// HR2010, HR3017.
func (a *API) Batch(ctx context.Context, body []byte) (any, error) {
	body, err := a.check(body)
	if err != nil {
		return nil, err
	}
	var r struct {
		Commands []map[string]json.RawMessage `json:"commands"`
		Parallel bool                         `json:"parallel"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, problem.New("HR3017", "%w", err)
	}
	names, runs := make([]string, len(r.Commands)), make([]run, len(r.Commands))
	for i, one := range r.Commands {
		if names[i], runs[i], err = single(one); err != nil {
			return nil, problem.New("HR3017", "%w", err).At(fmt.Sprintf("/commands/%d", i))
		}
	}
	replies := make([]map[string]any, len(runs))
	if !r.Parallel {
		for i, run := range runs {
			replies[i] = a.reply(ctx, names[i], run)
		}
		return map[string]any{"replies": replies}, nil
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, together)
	for i, run := range runs {
		slots <- struct{}{}
		all.Go(func() {
			replies[i] = a.reply(ctx, names[i], run)
			<-slots
		})
	}
	all.Wait()
	return map[string]any{"replies": replies}, nil
}

// single reads a command of a batch; one that is not known is not done, and the others are.
func single(members map[string]json.RawMessage) (string, run, error) {
	if len(members) > 1 {
		return "", nil, fmt.Errorf("an element of a batch is one command, not %d", len(members))
	}
	for name, body := range members {
		read := commands[name]
		if read == nil {
			return name, func(context.Context, *API) (any, error) {
				return nil, &Error{notFound, fmt.Sprintf("not found: there is no command %.40q", name)}
			}, nil
		}
		run, err := read(body)
		return name, run, err
	}
	return "", func(context.Context, *API) (any, error) { return nil, bad("the element has no command") }, nil
}

func (a *API) reply(ctx context.Context, name string, run run) map[string]any {
	if answer := a.answer(ctx, name, run); answer.Error != nil {
		return map[string]any{"error": answer.Error}
	} else {
		return map[string]any{name: answer.Result}
	}
}
