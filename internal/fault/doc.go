// Package fault names the steps of the protocol at which the crash suite ends or stops the process: a binary built with the tag faults
// obeys HEADRACE_FAULT, any other has no trace of it.
package fault

// Points are all names, in the order in which a job passes them.
var Points = []string{
	"enqueue.checked",    // the request is valid, nothing is recorded
	"journal.publishing", // records are gathered, the frame is not written
	"journal.published",  // the frame is written, not synced
	"journal.committed",  // the frame is synced, nobody knows
	"enqueue.answering",  // committed, the caller has no answer
	"dispatch.chosen",    // the start is recorded, the worker has nothing
	"dispatch.offered",   // the task is on its way
	"run.done",           // the result is here, not recorded
	"job.ended",          // the end is committed, waiters do not know
	"index.written",      // the index knows
	"trim.purging",       // live jobs are carried, the journal is about to be trimmed
}
