package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/rig"
)

// figure is a row of the table: what was measured, and what is asked of headrace.
type figure struct {
	name       string
	least, aim string
	higher     bool // more is better
	given      bool // has no ratio
}

var (
	memory      = &figure{name: "1. resident memory per idle connection, connected and subscribed (KB)", least: "2.5", aim: "1.2"}
	early       = &figure{name: "– the same 5 s after the last one connected"}
	resting     = &figure{name: "– resident before (MB)"}
	delivery    = &figure{name: "2. server CPU per delivery, one publication after another (µs)", least: "6.5", aim: "5"}
	spread      = &figure{name: "– until all have it, p50 (ms)"}
	burstCPU    = &figure{name: "3. server CPU per delivery, 100 publications in a burst (µs)", least: "3", aim: "1.5"}
	burstRate   = &figure{name: "– deliveries a second", higher: true}
	idleCPU     = &figure{name: "4. server CPU per 1,000 idle connections, pings every 25 s (ms/s)", least: "1", aim: "0.3"}
	restingCPU  = &figure{name: "– server CPU without connections, of the whole server (ms/s)"}
	postP50     = &figure{name: "5. publish acknowledged at 1,000/s, history, on disk: POST /api/publish p50 (ms)"}
	postP99     = &figure{name: "– p99", least: "10", aim: "5"}
	sendP50     = &figure{name: "– published by clients: p50 (ms)"}
	sendP99     = &figure{name: "– p99 (by clients)", least: "10", aim: "5"}
	cutTime     = &figure{name: "6. all connections cut at once: until all are back and recovered (s)", least: "10", aim: "5"}
	cutShare    = &figure{name: "– publications delivered (%)", least: "100", aim: "100", given: true}
	killTime    = &figure{name: "– server killed (SIGKILL) and started again: until all are back and recovered (s)", least: "10", aim: "5"}
	killShare   = &figure{name: "– publications delivered (%, server killed)", least: "100", aim: "100", given: true}
	connectRate = &figure{name: "7. connects with a fresh JWT (HS256) and subscribed (1/s)", least: "8,000", aim: "15,000", higher: true}
	connectCPU  = &figure{name: "– server CPU per connect (µs)"}
	slowWithout = &figure{name: "8. delivery delay p99 of the others: all read (ms)"}
	slowWith    = &figure{name: "– one never reads (ms)"}
	slowAdded   = &figure{name: "– added (ms)", least: "1", aim: "0", given: true}

	figures = []*figure{
		memory, early, resting, delivery, spread, burstCPU, burstRate, idleCPU, restingCPU, postP50, postP99, sendP50, sendP99,
		cutTime, cutShare, killTime, killShare, connectRate, connectCPU, slowWithout, slowWith, slowAdded,
	}
)

// report gathers what was measured: values by figure and contender, and words where there is no value or beside it.
type report struct {
	contenders []string
	values     map[*figure]map[string][]float64
	words      map[*figure]map[string]string
	failures   string // of rivals, a list in Markdown
}

func newReport() *report {
	return &report{values: map[*figure]map[string][]float64{}, words: map[*figure]map[string]string{}}
}

func (r *report) note(f *figure, contender string, value float64) {
	if r.values[f] == nil {
		r.values[f] = map[string][]float64{}
	}
	r.values[f][contender] = append(r.values[f][contender], value)
}

func (r *report) say(f *figure, contender, words string) {
	if r.words[f] == nil {
		r.words[f] = map[string]string{}
	}
	r.words[f][contender] = words
}

// failed marks those of figures that a rival has no value of.
func (r *report) failed(contender string, err error, figures []*figure) {
	for _, f := range figures {
		if len(r.values[f][contender]) == 0 {
			r.say(f, contender, "failed")
		}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	r.failures += fmt.Sprintf("- %s failed: %s\n", contender, first)
	fmt.Fprintf(os.Stderr, "%s failed: %v\n", contender, err)
}

// median of the repetitions, false if there are none.
func (r *report) median(f *figure, contender string) (float64, bool) {
	values := slices.Sorted(slices.Values(r.values[f][contender]))
	if len(values) == 0 {
		return 0, false
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2, true
}

// table is the figures in Markdown. The ratio is headrace to the best rival, over 1 where headrace is better.
func (r *report) table() string {
	rows := [][]string{append(append([]string{"figure"}, r.contenders...), "headrace : best rival", "at least", "aim")}
	for _, f := range figures {
		if len(r.values[f]) == 0 && len(r.words[f]) == 0 {
			continue
		}
		row := []string{f.name}
		best, mine, rivals := 0.0, 0.0, false
		for _, contender := range r.contenders {
			value, ok := r.median(f, contender)
			switch {
			case !ok:
				row = append(row, cmp.Or(r.words[f][contender], "–"))
				continue
			case contender == own:
				mine = value
			case contender == bare:
			case !rivals || f.higher == (value > best):
				best, rivals = value, true
			}
			row = append(row, r.cell(f, contender, value))
		}
		ratio := "–"
		if mine > 0 && best > 0 && !f.given {
			if ratio = rig.Digits(best/mine) + "×"; f.higher {
				ratio = rig.Digits(mine/best) + "×"
			}
		}
		rows = append(rows, append(row, ratio, cmp.Or(f.least, "–"), cmp.Or(f.aim, "–")))
	}
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|---%s|\n", strings.Repeat("|---:", len(row)-1))
		}
	}
	return b.String()
}

// cell is a median with the range of the repetitions where they differ by more than a tenth.
func (r *report) cell(f *figure, contender string, median float64) string {
	values := r.values[f][contender]
	low, high := slices.Min(values), slices.Max(values)
	text := rig.Digits(median)
	if high-low > math.Abs(median)/10 {
		text += fmt.Sprintf(" (%s…%s)", rig.Digits(low), rig.Digits(high))
	}
	if words := r.words[f][contender]; words != "" {
		text += " " + words
	}
	return text
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func kilo(bytes int) float64        { return float64(bytes) / 1024 }
