package workers

import (
	"context"
	"os"
	"testing"
)

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestDeathsAndReloadsLeaveNoDescriptors(t *testing.T) {
	p, _ := open(t, Config{Zygote: true})
	var first int
	for i := range 5 {
		r, _ := run(t, p, "kill", `{"number":9}`)
		r.end()
		if err := p.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		r, _ = run(t, p, "add", `{"a":1,"b":1}`)
		r.end()
		until(t, "one worker", func() bool { s := p.Status(); return len(s.Workers) == 1 && s.Starting == 0 })
		if i == 0 {
			first = descriptors(t)
		}
	}
	until(t, "as few descriptors as before", func() bool { return descriptors(t) <= first+1 })
}
