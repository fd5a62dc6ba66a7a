package cache

import (
	"sync"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
)

// forms are what the body of an entry is when it is compressed, made when they are first asked for. They go with the entry, and count in its
// size. An entry and the one that a 304 of the upstream makes of it share them. It is an exchange.Kept.
type forms struct {
	store *Store
	at    id
	body  []byte

	making sync.Mutex // held while a form is made
	made   atomic.Pointer[[]form]
}

type form struct {
	key  string
	body []byte // nil if it is of no use
}

// put keeps an entry.
func (s *Store) put(at id, e *entry) {
	if e.forms == nil || e.forms.at != at {
		e.forms = &forms{store: s, at: at, body: e.body}
	}
	s.kept.Set(at, e)
}

// Form implements exchange.Kept.
func (f *forms) Form(key string) (body []byte, ok bool) {
	for _, form := range f.all() {
		if form.key == key {
			return form.body, true
		}
	}
	return nil, false
}

// Make implements exchange.Kept. What would fill a quarter of the store is made for each answer, at the same time.
func (f *forms) Make(key string, create func(body []byte) (form []byte, ok bool)) (body []byte, ok bool) {
	if int64(f.size()+2*len(f.body)) > f.store.most/4 {
		return create(f.body)
	}
	f.making.Lock()
	defer f.making.Unlock()
	if body, ok = f.Form(key); ok {
		return body, true
	}
	if body, ok = create(f.body); ok {
		f.keep(form{key, body})
	}
	return body, ok
}

// keep adds a form, unless the entry is gone meanwhile. The entry is weighed again.
func (f *forms) keep(one form) {
	f.store.kept.ComputeIfPresent(f.at, func(e *entry) (*entry, otter.ComputeOp) {
		if e.forms != f {
			return e, otter.CancelOp
		}
		all := append(append([]form(nil), f.all()...), one)
		f.made.Store(&all)
		return e, otter.WriteOp
	})
}

func (f *forms) all() []form {
	if all := f.made.Load(); all != nil {
		return *all
	}
	return nil
}

// size is that of the forms, without the body itself.
func (f *forms) size() (n int) {
	for _, form := range f.all() {
		n += len(form.body) + 64
	}
	return n
}
