package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// Names of the figures, as they stand in the table.
const (
	jobRate      = "1. no-op jobs in batches, run, result recorded (jobs/s)"
	jobCPU       = "   server CPU a job: queue and workers (µs)"
	jobCPUClient = "   the same with the enqueuing client of the rival (µs)"
	jobMemory    = "   resident after the run: queue and workers (MB, PSS)"
	jobSynced    = "   jobs/s, nothing acknowledged before it is on disk"
	jobWritten   = "   jobs/s, on disk within a second or when the system writes"
	singleRate   = "2. single enqueues over HTTP, 256 connections (1/s)"
	singleP50    = "   p50 (ms)"
	singleP99    = "   p99 (ms)"
	givenP50     = "   open loop at 15,000/s: p50 (ms)"
	givenP99     = "   open loop at 15,000/s: p99 (ms)"
	pickupRate   = " (jobs/s)"
	pickupP50    = ": due → start p50 (ms)"
	pickupP99    = ": due → start p99 (ms)"
	pickupAckP50 = ": 202 → start p50 (ms)"
	pickupAckP99 = ": 202 → start p99 (ms)"
	halfLoad     = "3. pick-up at half load"
	lowLoad      = "   pick-up at the same load for all"
	callRate     = "4. synchronous calls over HTTP, 64 connections (1/s)"
	callP50      = "   call p50 (ms)"
	callP99      = "   call p99 (ms)"
	killRerun    = "5. worker killed → its job runs elsewhere (ms)"
	replacement  = "6. worker killed → replacement with pandas runs a job (ms)"
	uploadGrowth = "7. upload to a job that reads it: growth of the server (MB, peak RSS)"
	idleMemory   = "8. idle server without workers (MB, RSS)"
	staticIdle   = "9. static file at 500/s, p99, workers idle (ms)"
	staticBusy   = "   the same, every worker burns CPU (ms)"
	staticRatio  = "   busy to idle"
)

// figures is the order of the table.
var figures = []string{
	jobRate, jobCPU, jobCPUClient, jobMemory, jobSynced, jobWritten, singleRate, singleP50, singleP99, givenP50, givenP99,
	halfLoad + pickupRate, halfLoad + pickupP50, halfLoad + pickupP99, halfLoad + pickupAckP50, halfLoad + pickupAckP99,
	lowLoad + pickupRate, lowLoad + pickupP50, lowLoad + pickupP99, lowLoad + pickupAckP50, lowLoad + pickupAckP99,
	callRate, callP50, callP99, killRerun, replacement, uploadGrowth, idleMemory, staticIdle, staticBusy, staticRatio,
}

// higher is whether more of a figure is better; given is whether it is an input, which has no ratio.
func higher(figure string) bool {
	return strings.HasSuffix(figure, "/s)") || strings.Contains(figure, "jobs/s,")
}
func given(figure string) bool {
	return strings.HasSuffix(figure, pickupRate) && strings.Contains(figure, "pick-up")
}

// report gathers what was measured: values by figure and contender, and words where there is no value.
type report struct {
	contenders []string
	values     map[string]map[string][]float64
	words      map[string]map[string]string
}

func (r *report) add(figure, contender string, value float64) {
	if r.values[figure] == nil {
		r.values[figure] = map[string][]float64{}
	}
	r.values[figure][contender] = append(r.values[figure][contender], value)
}

// note is add, and shows how the run gets on.
func (r *report) note(figure, contender string, value float64) {
	r.add(figure, contender, value)
	fmt.Fprintf(os.Stderr, "%s  %-9s  %s: %s\n", time.Now().Format(time.TimeOnly), contender, strings.TrimSpace(figure), rig.Digits(value))
}

// percentiles notes the median and the 99th percentile of latencies in ms.
func (r *report) percentiles(p50, p99, contender string, latency *load.Histogram) {
	r.note(p50, contender, milli(latency.Percentile(50)))
	r.note(p99, contender, milli(latency.Percentile(99)))
}

func (r *report) say(figure, contender, words string) {
	if r.words[figure] == nil {
		r.words[figure] = map[string]string{}
	}
	r.words[figure][contender] = words
}

// median of the repetitions, false if there are none.
func (r *report) median(figure, contender string) (float64, bool) {
	values := slices.Sorted(slices.Values(r.values[figure][contender]))
	if len(values) == 0 {
		return 0, false
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2, true
}

// table is the figures in Markdown. The ratio is headrace to the best rival, over 1 where headrace is better.
func (r *report) table() string {
	rows := [][]string{append(append([]string{"figure"}, r.contenders...), "headrace : best rival")}
	for _, figure := range figures {
		row := []string{strings.ReplaceAll(figure, "   ", "– ")}
		best, own, rivals := 0.0, 0.0, false
		for _, contender := range r.contenders {
			value, ok := r.median(figure, contender)
			switch {
			case !ok:
				row = append(row, cmp.Or(r.words[figure][contender], "–"))
				continue
			case contender == "headrace":
				own = value
			case contender == bare:
			case !rivals || higher(figure) == (value > best):
				best, rivals = value, true
			}
			row = append(row, r.cell(figure, contender, value))
		}
		ratio := "–"
		if own > 0 && best > 0 && !given(figure) {
			if better := best / own; higher(figure) {
				ratio = rig.Digits(1/better) + "×"
			} else {
				ratio = rig.Digits(better) + "×"
			}
		}
		rows = append(rows, append(row, ratio))
	}
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|---%s\n", strings.Repeat("|---:", len(row)-1)+"|")
		}
	}
	return b.String()
}

// cell is a median with the range of the repetitions where they differ by more than a tenth.
func (r *report) cell(figure, contender string, median float64) string {
	values := r.values[figure][contender]
	low, high := slices.Min(values), slices.Max(values)
	text := rig.Digits(median)
	if high-low > median/10 {
		text += fmt.Sprintf(" (%s…%s)", rig.Digits(low), rig.Digits(high))
	}
	if words := r.words[figure][contender]; words != "" {
		text += " " + words
	}
	return text
}
