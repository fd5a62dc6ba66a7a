package park

import "testing"

// Peers that send without pause keep the queue from ever being empty.
func TestQueueThatIsNeverEmpty(t *testing.T) {
	w := &crew{}
	conns := make([]*Conn, 100)
	for i := range conns {
		conns[i] = &Conn{}
		w.put([]task{{c: conns[i]}})
	}
	for i := range 100_000 {
		got := w.take()
		if got.c != conns[i%len(conns)] {
			t.Fatalf("task %d is that of another", i)
		}
		w.put([]task{got})
	}
	if cap(w.tasks) > 4*len(conns) {
		t.Errorf("the queue of %d has room for %d", len(conns), cap(w.tasks))
	}
}
