package identity

// Caller is what a function is told of who asks for it. It is comparable, so that jobs of the same caller can share it. The zero value is nobody.
type Caller struct {
	User   string // subject; "" if it has no name
	Method string // how that is known, as Identity has it; "" if nothing was shown
	Claims string // JSON object; "" without one
	Client string // id of the live client that calls; jobs have none
}
