// Package rules decides who may do what in a channel. A rule is an expression of the language of expr-lang/expr over the fields of Env,
// as in `user in users` or `claims.role == "admin" && id startsWith "room-"`. The language is cut down so that what a rule costs is
// bounded by its length and the size of the claims, whatever a client sends.
package rules

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// Env is what a rule may ask for.
type Env struct {
	User    string         `expr:"user"`    // subject of the connection's token; "" for an anonymous one
	Client  string         `expr:"client"`  // identifier of the connection
	Channel string         `expr:"channel"` // whole name of the channel
	ID      string         `expr:"id"`      // name of the channel without its namespace
	Claims  map[string]any `expr:"claims"`  // claims of the connection's token, as encoding/json decodes them
	Users   []string       `expr:"users"`   // users behind the # in the name of the channel
}

// Limits of a rule.
const (
	maxLength = 2048   // bytes
	maxNodes  = 256    // names, values, operators and calls
	maxMemory = 10_000 // elements that an evaluation may gather
)

// Error is a rule that cannot be compiled.
type Error struct {
	Line, Column int // where, from 1, the column in characters
	Message      string
	Hint         string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (at %d:%d of the rule)", e.Message, e.Line, e.Column)
}

// Rule is a compiled rule. A nil Rule allows nothing. It is safe for concurrent use.
type Rule struct {
	text    string
	always  bool
	program *vm.Program // nil where the answer is always the same
}

// Compile reads a rule. An empty one allows nothing; `true` allows everything and costs nothing. The error is an *Error.
func Compile(text string) (*Rule, error) {
	switch strings.TrimSpace(text) {
	case "", "false":
		return &Rule{text: text}, nil
	case "true":
		return &Rule{text: text, always: true}, nil
	}
	if len(text) > maxLength {
		return nil, &Error{1, 1, fmt.Sprintf("the rule is longer than %d bytes", maxLength), "move the decision into a function of the app"}
	}
	if err := check(text); err != nil {
		return nil, err
	}
	program, err := expr.Compile(text, expr.Env(Env{}), expr.AsBool(), expr.MaxNodes(maxNodes), expr.DisableAllBuiltins(), enable())
	if err != nil {
		return nil, explain(err)
	}
	return &Rule{text: text, program: program}, nil
}

// String is the text of the rule.
func (r *Rule) String() string {
	if r == nil {
		return ""
	}
	return r.text
}

// Allow tells whether the rule is true. A rule that cannot be evaluated, because a claim is missing or of another type, is not; but a
// missing claim alone is nil, which is equal to nothing else, so that `claims.banned != true` is true without the claim.
func (r *Rule) Allow(env Env) bool {
	if r == nil || r.program == nil {
		return r != nil && r.always
	}
	return r.run(env)
}

// run is apart from Allow because env moves to the heap here.
func (r *Rule) run(env Env) bool {
	machine := machines.Get().(*vm.VM)
	defer machines.Put(machine)
	out, err := machine.Run(r.program, &env)
	allowed, _ := out.(bool)
	return err == nil && allowed
}

// Constant tells whether the answer does not depend on the Env, and what it is; then an Env need not be made.
func (r *Rule) Constant() (allow, constant bool) {
	if r == nil {
		return false, true
	}
	return r.always, r.program == nil
}

var machines = sync.Pool{New: func() any { return &vm.VM{MemoryBudget: maxMemory} }}

func enable() expr.Option {
	options := make([]expr.Option, 0, len(builtins))
	for name := range builtins {
		options = append(options, expr.EnableBuiltin(name))
	}
	return func(c *conf.Config) {
		for _, option := range options {
			option(c)
		}
	}
}

// explain turns an error of the compiler into one with a hint.
func explain(err error) *Error {
	e := &Error{Line: 1, Column: 1, Message: err.Error()}
	var at *file.Error
	if errors.As(err, &at) {
		e = &Error{Line: max(1, at.Line), Column: at.Column + 1, Message: at.Message}
	}
	switch {
	case strings.HasPrefix(e.Message, "unknown name"):
		e.Hint = "the names are user, client, channel, id, claims and users; texts stand in quotes"
	case strings.Contains(e.Message, "expected bool"):
		e.Hint = `write a comparison, as in claims.role == "admin"`
	case strings.Contains(e.Message, "mismatched types"):
		e.Hint = "compare texts with texts in quotes, and numbers with numbers"
	case strings.Contains(e.Message, "assign"), strings.Contains(e.Message, `Operator("=")`):
		e.Hint = "compare with =="
	}
	return e
}
