package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/headrace/headrace/bench/rig"
)

// figure is a row of the table: what was measured, and what is asked of headrace.
type figure struct {
	name, least, aim string
}

var (
	smallRate   = &figure{name: "1. HTTP/1.1, 120 bytes (requests/s)"}
	smallCPU    = &figure{name: "– server CPU per request (µs, × nginx)", least: "1.4×", aim: "1.0×"}
	largeRate   = &figure{name: "2. HTTP/1.1, 100 KiB (requests/s)"}
	largeCPU    = &figure{name: "– server CPU per request (µs, × nginx; 100 KiB)"}
	guardedRate = &figure{name: "3. JWT, rate limit, access log, metrics (requests/s)"}
	guardedCPU  = &figure{name: "– server CPU per request (µs, × nginx; guarded)", least: "1.9×", aim: "1.5×"}
	tlsRate     = &figure{name: "4. HTTP/1.1 over TLS (requests/s)"}
	tlsCPU      = &figure{name: "– server CPU per request (µs, × nginx; TLS)"}
	h2Rate      = &figure{name: "5. HTTP/2 over TLS (requests/s)"}
	h2CPU       = &figure{name: "– server CPU per request (µs, × nginx; HTTP/2)"}
	idleRSS     = &figure{name: "7. resident memory with idle connections (MB)", least: "60", aim: "30"}
	idlePSS     = &figure{name: "– proportional (PSS; what processes share counts once)"}
	idleBefore  = &figure{name: "– resident before"}
	download    = &figure{name: "8. growth of memory during a long download (MB)", least: "16", aim: "4"}
	uploaded    = &figure{name: "– during a long upload (MB)", least: "16", aim: "4"}
	mergeNow    = &figure{name: "9. merge of 3 upstreams against asking one (ratio of p50)", least: "1.5", aim: "1.2"}
	oneNow      = &figure{name: "– one (ms)"}
	allNow      = &figure{name: "– merged (ms)"}
	bareNow     = &figure{name: "– the same ratio for a client that asks the upstreams itself"}
	bareOneNow  = &figure{name: "– such a client and one (ms)"}
	bareAllNow  = &figure{name: "– such a client and three (ms)"}
	mergeLate   = &figure{name: "– ratio, upstreams that need 2 ms", least: "1.5", aim: "1.2"}
	oneLate     = &figure{name: "– one that needs 2 ms (ms)"}
	allLate     = &figure{name: "– merged, upstreams that need 2 ms (ms)"}
	bareLate    = &figure{name: "– the same ratio for a client that asks those upstreams itself"}
	bareOneLate = &figure{name: "– such a client and one that needs 2 ms (ms)"}
	bareAllLate = &figure{name: "– such a client and three that need 2 ms (ms)"}
	reloaded    = &figure{name: "10. failed requests during reloads", least: "0", aim: "0"}
	replaced    = &figure{name: "11. failed requests while the upstream is replaced", least: "0", aim: "0"}

	figures = slices.Concat([]*figure{smallRate, smallCPU, largeRate, largeCPU, guardedRate, guardedCPU, tlsRate, tlsCPU, h2Rate, h2CPU},
		half.figures(), quarter.figures(), eighth.figures(), []*figure{
			idleRSS, idlePSS, idleBefore, download, uploaded,
			mergeNow, oneNow, allNow, bareNow, bareOneNow, bareAllNow, mergeLate, oneLate, allLate, bareLate, bareOneLate, bareAllLate, reloaded, replaced,
		})
)

// report gathers what was measured: values by figure and contender, and words where there is no value.
type report struct {
	contenders []string
	values     map[*figure]map[string][]float64
	words      map[*figure]map[string]string
	ratios     map[*figure]map[string][]float64 // to nginx in the same turn
	notes      []string
}

func newReport() *report {
	return &report{values: map[*figure]map[string][]float64{}, words: map[*figure]map[string]string{}, ratios: map[*figure]map[string][]float64{}}
}

func (r *report) note(f *figure, contender string, value float64) {
	add(r.values, f, contender, value)
}

// compared notes a ratio to nginx.
func (r *report) compared(f *figure, contender string, ratio float64) {
	add(r.ratios, f, contender, ratio)
}

func add(to map[*figure]map[string][]float64, f *figure, contender string, value float64) {
	if to[f] == nil {
		to[f] = map[string][]float64{}
	}
	to[f][contender] = append(to[f][contender], value)
}

func (r *report) say(f *figure, contender, words string) {
	if r.words[f] == nil {
		r.words[f] = map[string]string{}
	}
	r.words[f][contender] = words
}

// remark adds a line to the page.
func (r *report) remark(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *report) remarks() string {
	var b strings.Builder
	for _, note := range r.notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.String()
}

// failed marks figures of a contender that it has no value of.
func (r *report) failed(contender string, err error, figures []*figure) {
	for _, f := range figures {
		if len(r.values[f][contender]) == 0 {
			r.say(f, contender, "failed")
		}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	r.remark("%s failed (%s): %s", contender, figures[0].name, first)
	fmt.Fprintf(os.Stderr, "%s failed (%s): %v\n", contender, figures[0].name, err)
}

// median of the repetitions, false if there are none.
func (r *report) median(f *figure, contender string) (float64, bool) {
	return median(r.values[f][contender])
}

func median(values []float64) (float64, bool) {
	values = slices.Sorted(slices.Values(values))
	if len(values) == 0 {
		return 0, false
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2, true
}

// table is the figures in Markdown.
func (r *report) table() string {
	rows := [][]string{append(append([]string{"figure"}, r.contenders...), "at least", "aim")}
	for _, f := range figures {
		if len(r.values[f]) == 0 && len(r.words[f]) == 0 {
			continue
		}
		row := []string{f.name}
		for _, contender := range r.contenders {
			row = append(row, r.cell(f, contender))
		}
		rows = append(rows, append(row, cmp.Or(f.least, "–"), cmp.Or(f.aim, "–")))
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

// cell is a median with the range of the repetitions where they differ by more than a tenth, or words.
func (r *report) cell(f *figure, contender string) string {
	value, ok := r.median(f, contender)
	if !ok {
		return cmp.Or(r.words[f][contender], "–")
	}
	values := r.values[f][contender]
	low, high := slices.Min(values), slices.Max(values)
	text := rig.Digits(value)
	if high-low > math.Abs(value)/10 {
		text += fmt.Sprintf(" (%s…%s)", rig.Digits(low), rig.Digits(high))
	}
	if ratio, ok := median(r.ratios[f][contender]); ok {
		text += fmt.Sprintf(" · %.2f×", ratio)
	}
	return text
}
