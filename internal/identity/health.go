package identity

import "github.com/headrace/headrace/internal/observe"

var unread = &observe.Condition{Code: "key-set-unread", Severity: observe.Warning, Title: "a set of keys that tokens are verified with cannot be read"}

// Raising is Told of Options: a condition on the address of the key set.
func Raising(health *observe.Health) func(address string, failure error) {
	return func(address string, failure error) {
		if failure == nil {
			health.Clear(unread, address)
			return
		}
		health.Raise(unread, address, "%v", failure)
	}
}
