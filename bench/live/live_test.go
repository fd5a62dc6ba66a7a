package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/bench/rig"
)

func TestTheRatioIsOverOneWhereHeadraceIsBetter(t *testing.T) {
	r := newReport()
	r.contenders = []string{own, "a", "b"}
	for title, values := range map[string][]float64{own: {2, 4}, "a": {9}, "b": {6}} {
		for _, v := range values {
			r.note(delivery, title, v)
			r.note(connectRate, title, 1000*v)
		}
	}
	r.failed("b", errors.New("gone"), []*figure{slowWith, delivery})
	table := r.table()
	for _, row := range []string{
		"| 2. server CPU per delivery, one publication after another (µs) | 3.00 (2.00…4.00) | 9.00 | 6.00 | 2.00× | 6.5 | 5 |",
		"| 3,000 (2,000…4,000) | 9,000 | 6,000 | 0.333× | 8,000 | 15,000 |",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("no row %s in\n%s", row, table)
		}
	}
	if strings.Contains(table, cutTime.name) || !strings.Contains(table, slowWith.name+" | – | – | failed |") {
		t.Errorf("a row without any figure, or none for a failure, in\n%s", table)
	}
}

func TestDigits(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "1.20": 1.2, "0.0123": 0.01234, "12,300": 12345, "-0.721": -0.7211, "-52.1": -52.06, "-1,230": -1234, "-123": -123} {
		if got := rig.Digits(v); got != want {
			t.Errorf("%v is %q, not %q", v, got, want)
		}
	}
}

func TestNamesAreChosenInAnyCase(t *testing.T) {
	names := []string{"ws", "Socket.IO"}
	picked, err := rig.Choose("socket.io", names)
	if err != nil || slices.ContainsFunc(names, func(n string) bool { return picked(n) != (n == "Socket.IO") }) {
		t.Errorf("wrong choice, %v", err)
	}
	if all, err := rig.Choose("", names); err != nil || !all("ws") {
		t.Errorf("an empty list is not all, %v", err)
	}
	if _, err := rig.Choose("uws", names); err == nil || !strings.Contains(err.Error(), "ws, Socket.IO") {
		t.Errorf("error is %v", err)
	}
}
