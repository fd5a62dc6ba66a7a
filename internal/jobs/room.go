package jobs

import "github.com/headrace/headrace/internal/functions"

// room is what a pool can still be given in one round. Its functions share its workers, so a job takes the part of them that its
// function says; only functions that gather batches have room of their own. Jobs for which there is no room after all would go back
// into line, at the price of two records each.
type room struct {
	parts map[*functions.Function]float64 // of the room that a job of the function takes; above 1 if there is none
	taken map[*functions.Function]float64 // of 1; the workers are those of no function
}

func newRoom() *room {
	return &room{parts: map[*functions.Function]float64{}, taken: map[*functions.Function]float64{}}
}

// take tells whether there is room for one more job of the function, which then takes it.
func (r *room) take(fn *functions.Function) bool {
	part, known := r.parts[fn]
	if !known {
		part = 2
		if n := fn.Pool.Room(fn.Name); n > 0 {
			part = 1 / float64(n)
		}
		r.parts[fn] = part
	}
	var of *functions.Function
	if fn.Kind == functions.Batch {
		of = fn
	}
	const full = 1 + 1e-9 // sums of parts are not exact
	if r.taken[of]+part > full {
		return false
	}
	r.taken[of] += part
	return true
}
