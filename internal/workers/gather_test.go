package workers

import (
	"fmt"
	"testing"
	"time"
)

// together offers one item for each number at once.
func together(t *testing.T, p *Pool, numbers ...int) []*record {
	t.Helper()
	var records []*record
	for _, n := range numbers {
		r := newRecord(t)
		task := &Task{Function: "double", Args: fmt.Appendf(nil, `{"number":%d}`, n), Sink: r}
		until(t, "room in the batch", func() bool { _, ok := p.Offer(task); return ok })
		records = append(records, r)
	}
	p.Flush()
	return records
}

func TestBatch(t *testing.T) {
	p, _ := open(t, Config{Zygote: true})
	for i, r := range together(t, p, 1, 2, 3) {
		if o := r.end(); o.Ending != Succeeded || string(o.Result) != fmt.Sprintf("[%d,3]", 2*(i+1)) {
			t.Errorf("waited for more: %+v %s", o, o.Result)
		}
	}
	for i, r := range together(t, p, 0, 1, 2, 3, 4, 6, 8, 9) {
		if o := r.end(); o.Ending != Succeeded || string(o.Result[len(o.Result)-3:]) != ",8]" {
			t.Errorf("item %d of a full batch: %+v %s", i, o, o.Result)
		}
	}
	for i, r := range together(t, p, 1, 5, 2) {
		o := r.end()
		if i == 1 && (o.Ending != Failed || o.Error.Message != "odd one") || i != 1 && o.Ending != Succeeded {
			t.Errorf("item %d beside one that fails: %+v", i, o)
		}
	}
	a := newRecord(t)
	if _, err := p.Call(&Task{Function: "double", Args: []byte(`{"number":1}`), Sink: a}, time.Minute); err != nil {
		t.Fatal(err)
	}
	b := together(t, p, 2)[0]
	if oa, ob := a.end(), b.end(); string(oa.Result) != "[2,2]" || string(ob.Result) != "[4,2]" {
		t.Errorf("a call and a job: %s %s", oa.Result, ob.Result)
	}
}

func TestBatchIsSplitUntilTheBadItemIsAlone(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, Min: 2, Max: 2})
	for i, r := range together(t, p, 0, 1, 2, 13, 3, 4, 6, 8) {
		o := r.end()
		if i == 3 && (o.Ending != Crashed || o.Death.ExitCode != 9) || i != 3 && o.Ending != Succeeded {
			t.Errorf("item %d beside one that crashes: %+v", i, o)
		}
	}
	for i, r := range together(t, p, 0, 1, 2, 3, 7) {
		o := r.end()
		if i == 4 && (o.Ending != Failed || o.Error.Message != "seven") || i != 4 && o.Ending != Succeeded {
			t.Errorf("item %d beside one that raises for all: %+v", i, o)
		}
	}
}

func TestBatchItemCancelled(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, CancelGrace: 200 * time.Millisecond})
	gatheringOnly := newRecord(t)
	item, ok := p.Offer(&Task{Function: "double", Args: []byte(`{"number":1}`), Sink: gatheringOnly})
	if !ok {
		t.Fatal("no room")
	}
	other := together(t, p, 2)[0]
	item.Cancel("cancelled")
	if o := gatheringOnly.end(); o.Ending != Cancelled {
		t.Errorf("%+v", o)
	}
	if o := other.end(); string(o.Result) != "[4,1]" {
		t.Errorf("%+v %s", o, o.Result)
	}
	r, _ := runTask(t, p, &Task{Function: "double", Args: []byte(`{"number":99}`), Timeout: 50 * time.Millisecond})
	if o := r.end(); o.Ending != TimedOut {
		t.Errorf("%+v", o)
	}
}
