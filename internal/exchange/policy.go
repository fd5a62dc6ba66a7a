package exchange

import "errors"

// Handler answers a request. Its error is the answer instead.
type Handler func(*Request) error

// Answered is what Admit of a policy returns if it has given the whole answer.
var Answered = errors.New("the answer is given") //nolint:errname // it is no failure

// Policy is what stands around the handler of a route. Each member may be nil; what is nil costs nothing.
type Policy struct {
	// Admit is asked when the head of a request is there and its body is not. Its error is the answer.
	Admit func(*Request) error
	// Around is given the next handler, once, when the route is made.
	Around func(Handler) Handler
	// Finish may change the answer before it is written. It is called for every request of the route, those that were refused included.
	Finish func(*Request)
}

// Chain is a handler with its policies. The first policy is the outermost: it is asked first and finishes last.
type Chain struct {
	admit  []func(*Request) error
	serve  Handler
	finish []func(*Request)
}

// NewChain puts policies around a handler.
func NewChain(handler Handler, policies ...Policy) *Chain {
	c := &Chain{serve: handler}
	for _, p := range policies {
		if p.Admit != nil {
			c.admit = append(c.admit, p.Admit)
		}
	}
	for i := len(policies) - 1; i >= 0; i-- {
		p := policies[i]
		if p.Around != nil {
			c.serve = p.Around(c.serve)
		}
		if p.Finish != nil {
			c.finish = append(c.finish, p.Finish)
		}
	}
	return c
}

// Admit asks the policies in turn; the first error ends it.
func (c *Chain) Admit(r *Request) error {
	for _, admit := range c.admit {
		if err := admit(r); err != nil {
			return err
		}
	}
	return nil
}

// Serve answers.
func (c *Chain) Serve(r *Request) error { return c.serve(r) }

// Finish lets the policies change the answer.
func (c *Chain) Finish(r *Request) {
	for _, finish := range c.finish {
		finish(r)
	}
}
