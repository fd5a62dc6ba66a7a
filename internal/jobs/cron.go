package jobs

import (
	"context"
	"time"

	cronlib "github.com/netresearch/go-cron"

	"github.com/headrace/headrace/internal/problem"
)

// cron is the schedule of one function.
type cron struct {
	function string
	schedule cronlib.Schedule // nil while no worker has the function
	zone     *time.Location
	missed   string
	last     time.Time // nominal time of the last run, or when the schedule was first seen
	next     time.Time
	known    bool // last is in the journal
}

// Policies for runs that came due while headrace was down.
const (
	missedSkip = "skip"
	missedOnce = "once"
	missedAll  = "all"
)

// mostMissed bounds the runs that the policy all makes up for.
const mostMissed = 100

var cronParser = cronlib.MustNewParser(cronlib.Minute | cronlib.Hour | cronlib.Dom | cronlib.Month | cronlib.Dow | cronlib.Descriptor)

// parseCron reads a schedule. The problem is HR2018.
func parseCron(expression, zone string) (cronlib.Schedule, *time.Location, error) {
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, nil, problem.New("HR2018", "no time zone %q", zone).At("timezone")
	}
	schedule, err := cronParser.Parse(expression)
	if err != nil {
		return nil, nil, problem.New("HR2018", "cron expression %q: %w", expression, err).At("cron")
	}
	return schedule, location, nil
}

// CheckCron tells whether a schedule can be read.
func CheckCron(expression, zone string) error {
	_, _, err := parseCron(expression, zone)
	return err
}

// cronRan notes the last nominal time of a schedule.
func (j *Jobs) cronRan(name string, at time.Time) {
	c := j.crons[name]
	if c == nil {
		c = &cron{function: name}
		j.crons[name] = c
	}
	c.last, c.known = at, true
}

// planCrons takes the schedules of the functions that the workers have now.
func (j *Jobs) planCrons(now time.Time) {
	for _, c := range j.crons {
		c.schedule = nil
	}
	for _, fn := range j.functions.All() {
		o := &fn.Options
		if o.Cron == "" {
			continue
		}
		schedule, zone, err := parseCron(o.Cron, o.Timezone)
		if err != nil {
			j.log.Error("schedule refused", "function", fn.Name, "error", err)
			continue
		}
		c := j.crons[fn.Name]
		if c == nil {
			c = &cron{function: fn.Name, last: now}
			j.crons[fn.Name] = c
		}
		c.schedule, c.zone, c.missed = schedule, zone, o.Missed
		if !c.known {
			c.known = true
			if err := j.journal.append([]ticket{{}}, record{kind: recCron, name: fn.Name, at: now}); err != nil {
				j.log.Warn("schedule not recorded", "function", fn.Name, "error", err)
			}
		}
		c.next = schedule.Next(c.last.In(zone))
	}
	j.nudge()
}

// NextRun is when the schedule of a function starts it next; the zero time if it has none.
func (j *Jobs) NextRun(function string) time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	if c := j.crons[function]; c != nil && c.schedule != nil {
		return c.next
	}
	return time.Time{}
}

// fireCrons enqueues what is due and returns the time until the next run of any schedule.
func (j *Jobs) fireCrons(now time.Time) time.Duration {
	wait := time.Minute
	for _, c := range j.crons {
		if c.schedule == nil || c.next.IsZero() {
			continue
		}
		for _, at := range c.due(now) {
			c.last = at
			go j.fireCron(c.function, at)
		}
		if !c.next.IsZero() {
			wait = min(wait, max(c.next.Sub(now), 0))
		}
	}
	return wait
}

// due returns the nominal times to run now, after the policy for missed runs, and moves next into the future. A run counts as missed if
// it is more than a minute late.
func (c *cron) due(now time.Time) []time.Time {
	var times []time.Time
	for !c.next.IsZero() && !c.next.After(now) {
		times = append(times, c.next)
		if len(times) > mostMissed {
			times = times[1:]
		}
		c.next = c.schedule.Next(c.next)
	}
	if len(times) == 0 {
		return nil
	}
	late := 0
	for late < len(times) && now.Sub(times[late]) > time.Minute {
		late++
	}
	switch {
	case late == 0 || c.missed == missedAll:
		return times
	case c.missed == missedSkip:
		return times[late:]
	default: // once: the newest stands for all that were missed
		return times[late-1:]
	}
}

// cronRetry is the time between two tries to store a run.
const cronRetry = time.Second

// fireCron stores the job of one run. Its nominal time is in its idempotency key, so that it exists once. While there is no room for it, it is
// tried again for a minute.
func (j *Jobs) fireCron(function string, at time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(cronRetry)
	defer tick.Stop()
	for {
		receipts, err := j.Enqueue(ctx, []Request{{
			Function: function, Args: []byte("{}"), RunAt: at, Idempotency: "cron:" + function + ":" + at.UTC().Format(time.RFC3339), cron: function,
		}})
		if err == nil {
			err = receipts[0].Err
		}
		if err == nil {
			return
		}
		if code := problem.From(err).Code; code == "HR2006" || code == "HR5002" {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
			}
		}
		j.log.Error("scheduled run was not stored", "function", function, "at", at, "error", err)
		return
	}
}
