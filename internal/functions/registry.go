package functions

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// Registry is the set of functions of all pools. A lookup is lock-free; a change replaces the whole set, so that a request sees
// either the old functions or the new ones.
type Registry struct {
	set      atomic.Pointer[map[string]*Function]
	events   atomic.Pointer[events]
	changing sync.Mutex
	changed  []func()
}

// NewRegistry returns an empty registry. The functions given are called after every change.
func NewRegistry(changed ...func()) *Registry {
	r := &Registry{changed: changed}
	r.set.Store(&map[string]*Function{})
	r.events.Store(&events{})
	return r
}

// OnChange adds a function that is called after every change; not to be called once pools are being set.
func (r *Registry) OnChange(f func()) { r.changed = append(r.changed, f) }

// SetPool replaces what the registry knows of this pool by what the pool announces now. Two pools may not announce the same name.
func (r *Registry) SetPool(pool *workers.Pool) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	next := map[string]*Function{}
	for name, fn := range *r.set.Load() {
		if fn.Pool != pool {
			next[name] = fn
		}
	}
	for _, announced := range pool.Functions() {
		if other, taken := next[announced.Name]; taken {
			return problem.New("HR9003", "function %s is in pool %s and in pool %s", announced.Name, other.Pool.Name(), pool.Name()).
				Hinting("rename one of them")
		}
		fn, err := New(announced, pool)
		if err != nil {
			return err
		}
		next[announced.Name] = fn
	}
	asked, err := newEvents(next)
	if err != nil {
		return err
	}
	r.set.Store(&next)
	r.events.Store(asked)
	for _, changed := range r.changed {
		changed()
	}
	return nil
}

// Get returns the function of this name, or HR2003 with the nearest name.
func (r *Registry) Get(name string) (*Function, error) {
	if fn, ok := (*r.set.Load())[name]; ok {
		return fn, nil
	}
	return nil, problem.New("HR2003", "no function %q", name).At(name)
}

// Find returns the function of this name or nil.
func (r *Registry) Find(name string) *Function { return (*r.set.Load())[name] }

// All returns the functions in order of their names.
func (r *Registry) All() []*Function {
	all := make([]*Function, 0, len(*r.set.Load()))
	for _, fn := range *r.set.Load() {
		all = append(all, fn)
	}
	slices.SortFunc(all, func(a, b *Function) int { return strings.Compare(a.Name, b.Name) })
	return all
}
