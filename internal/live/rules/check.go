package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// builtins are the functions of the language that a rule may call. True are those that may be called for every element of a list.
var builtins = map[string]bool{
	"all": false, "any": false, "one": false, "none": false, "count": false, "filter": false, "map": false,
	"len": true, "lower": true, "upper": true, "hasPrefix": true, "hasSuffix": true, "trim": false, "trimPrefix": false,
	"trimSuffix": false, "split": false, "indexOf": false, "int": true, "float": true, "string": true, "type": true,
	"keys": false, "values": false, "first": false, "last": false, "get": true, "abs": true, "min": false, "max": false, "now": false,
}

// check refuses what the language has and a rule may not use, because it could cost more than the rule and the claims are long:
// ranges, loops in loops, variables and sums in loops (which double a text with every step), patterns from outside.
func check(text string) error {
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	tree, err := parser.ParseWithConfig(text, c)
	if err != nil {
		return explain(err)
	}
	outer := &checker{source: tree.Source}
	ast.Walk(&tree.Node, outer)
	return outer.result()
}

type checker struct {
	source file.Source
	inLoop bool
	err    *Error
}

func (c *checker) result() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Visit is called by ast.Walk.
func (c *checker) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		if c.inLoop {
			c.refuse(n, "a loop in a loop", "write two rules joined by &&, or move the decision into a function of the app")
			return
		}
		inner := &checker{source: c.source, inLoop: true}
		ast.Walk(&n.Node, inner)
		if c.err == nil {
			c.err = inner.err
		}
	case *ast.BinaryNode:
		c.binary(n)
	case *ast.BuiltinNode:
		if each, ok := builtins[n.Name]; !ok {
			c.refuse(n, fmt.Sprintf("the function %s is not for rules", n.Name), functionsHint())
		} else if c.inLoop && !each && !isLoop(n.Name) {
			c.refuse(n, fmt.Sprintf("the function %s in a loop", n.Name), "call it outside of the loop")
		}
	case *ast.CallNode:
		c.refuse(n, "an unknown function", functionsHint())
	case *ast.VariableDeclaratorNode:
		c.refuse(n, "a variable", "write its value where it is used")
	case *ast.SequenceNode:
		c.refuse(n, "several expressions", "join them with && or ||")
	case *ast.IdentifierNode:
		if strings.HasPrefix(n.Value, "$") {
			c.refuse(n, "unknown name "+n.Value, "the names are user, client, channel, id, claims and users")
		}
	}
}

func (c *checker) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "..":
		c.refuse(n, "a range", "compare with <= and >=")
	case "**", "^":
		c.refuse(n, "a power", "compare with the number")
	case "+":
		if c.inLoop {
			c.refuse(n, "a sum in a loop", "compare the parts, as with startsWith and endsWith")
		}
	case "matches":
		pattern, ok := n.Right.(*ast.StringNode)
		if !ok {
			c.refuse(n, "a pattern that is not a plain text", `write the pattern in quotes, as in id matches "^room-[0-9]+$"`)
		} else if _, err := regexp.Compile(pattern.Value); err != nil {
			c.refuse(n.Right, err.Error(), "patterns are those of Go's package regexp")
		}
	}
}

func (c *checker) refuse(n ast.Node, message, hint string) {
	if c.err != nil {
		return
	}
	at := (&file.Error{Location: n.Location()}).Bind(c.source)
	c.err = &Error{Line: at.Line, Column: at.Column + 1, Message: message, Hint: hint}
}

func isLoop(name string) bool {
	return slices.Contains([]string{"all", "any", "one", "none", "count", "filter", "map"}, name)
}

func functionsHint() string {
	names := make([]string, 0, len(builtins))
	for name := range builtins {
		names = append(names, name)
	}
	slices.Sort(names)
	return "the functions are " + strings.Join(names, ", ")
}
