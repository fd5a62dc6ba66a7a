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
	name       string
	least, aim string
	ratio      bool // beside the figure stands its ratio to that of nginx
}

var (
	smallRate   = &figure{name: "1. HTTP/1.1, 120 bytes (requests/s)"}
	smallCPU    = &figure{name: "– server CPU per request (µs, × nginx)", least: "1.4×", aim: "1.0×", ratio: true}
	largeRate   = &figure{name: "2. HTTP/1.1, 100 KiB (requests/s)"}
	largeCPU    = &figure{name: "– server CPU per request (µs, × nginx; 100 KiB)", ratio: true}
	guardedRate = &figure{name: "3. JWT, rate limit, access log, metrics (requests/s)"}
	guardedCPU  = &figure{name: "– server CPU per request (µs, × nginx; guarded)", least: "1.9×", aim: "1.5×", ratio: true}
	tlsRate     = &figure{name: "4. HTTP/1.1 over TLS (requests/s)"}
	tlsCPU      = &figure{name: "– server CPU per request (µs, × nginx; TLS)", ratio: true}
	h2Rate      = &figure{name: "5. HTTP/2 over TLS (requests/s)"}
	h2CPU       = &figure{name: "– server CPU per request (µs, × nginx; HTTP/2)", ratio: true}
	idleRSS     = &figure{name: "7. resident memory with idle connections (MB)", least: "60", aim: "30"}
	idlePSS     = &figure{name: "– proportional (PSS; what processes share counts once)"}
	idleBefore  = &figure{name: "– resident before"}
	download    = &figure{name: "8. growth of memory during a long download (MB)", least: "16", aim: "4"}
	uploaded    = &figure{name: "– during a long upload (MB)", least: "16", aim: "4"}
	mergeNow    = &figure{name: "9. merge of 3 upstreams against asking one (ratio of p50)", least: "1.5", aim: "1.2"}
	oneNow      = &figure{name: "– one (ms)"}
	allNow      = &figure{name: "– merged (ms)"}
	bareNow     = &figure{name: "– the same ratio for a client that asks the upstreams itself"}
	mergeLate   = &figure{name: "– ratio, upstreams that need 2 ms", least: "1.5", aim: "1.2"}
	oneLate     = &figure{name: "– one that needs 2 ms (ms)"}
	allLate     = &figure{name: "– merged, upstreams that need 2 ms (ms)"}
	bareLate    = &figure{name: "– the same ratio for a client that asks those upstreams itself"}
	reloaded    = &figure{name: "10. failed requests during reloads", least: "0", aim: "0"}
	replaced    = &figure{name: "11. failed requests while the upstream is replaced", least: "0", aim: "0"}

	figures = []*figure{
		smallRate, smallCPU, largeRate, largeCPU, guardedRate, guardedCPU, tlsRate, tlsCPU, h2Rate, h2CPU,
		half.rate, half.added50, half.added99, half.through50, half.through99, half.direct99,
		fair.rate, fair.added50, fair.added99, fair.through50, fair.through99, fair.direct99,
		light.rate, light.added50, light.added99, light.through50, light.through99, light.direct99,
		idleRSS, idlePSS, idleBefore, download, uploaded,
		mergeNow, oneNow, allNow, bareNow, mergeLate, oneLate, allLate, bareLate, reloaded, replaced,
	}
)

// report gathers what was measured: values by figure and contender, and words where there is no value.
type report struct {
	contenders []string
	values     map[*figure]map[string][]float64
	words      map[*figure]map[string]string
	notes      []string
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

// against is how a contender compares with nginx: the median of the ratios of the rounds, or that of the medians if one of them missed a round.
func (r *report) against(f *figure, contender string) (float64, bool) {
	mine, theirs := r.values[f][contender], r.values[f][judge]
	if len(mine) == 0 || len(theirs) == 0 {
		return 0, false
	}
	if len(mine) != len(theirs) {
		a, _ := median(mine)
		b, _ := median(theirs)
		return a / b, b > 0
	}
	var ratios []float64
	for i, v := range mine {
		ratios = append(ratios, v/max(theirs[i], 1e-9))
	}
	return median(ratios)
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
	if ratio, ok := r.against(f, contender); ok && f.ratio {
		text += fmt.Sprintf(" · %.2f×", ratio)
	}
	return text
}
