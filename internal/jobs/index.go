package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/problem"
)

// index is a projection of the journal in SQLite, for lists and for jobs that have ended. It is written behind the commits, and synced
// by nobody: after a crash of the process it is brought up to date from the journal. After one of the machine nobody knows which of its
// pages reached the disk, and it is made anew.
type index struct {
	db     *sql.DB
	writer *writer
	path   string
	bounds bounds
	log    *slog.Logger

	trickled time.Time // when the system was told to write; the indexer alone
}

const indexVersion = 1

// The table has one secondary index: each costs as much as the row. What no query selects by is in doc, as JSON.
const indexSchema = `
CREATE TABLE jobs (
	id BLOB PRIMARY KEY, function TEXT, queue TEXT, state INTEGER, key TEXT, created INTEGER, finished INTEGER,
	seq INTEGER, end_seq INTEGER, doc TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_state ON jobs (queue, state, finished);
CREATE TABLE events (job BLOB, n INTEGER, at INTEGER, kind TEXT, data BLOB, PRIMARY KEY (job, n)) WITHOUT ROWID;
CREATE TABLE blobs (job BLOB, digest TEXT, PRIMARY KEY (job, digest)) WITHOUT ROWID;
CREATE TABLE applied (seq INTEGER);
INSERT INTO applied VALUES (0);
`

// openIndex opens or makes the index. A file that cannot be read is a projection that cannot be read: it is made anew.
func openIndex(path string, log *slog.Logger) (*index, error) {
	x := &index{path: path, log: log}
	err := x.open()
	if err != nil {
		log.Warn("job index is made anew", "path", path, "cause", err)
		err = x.reset()
	}
	if err != nil {
		return nil, fmt.Errorf("job index %s: %w", path, err)
	}
	return x, nil
}

func (x *index) open() error {
	db, err := sql.Open("sqlite", "file:"+x.path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(5000)&_pragma=cache_size(-16384)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(4)
	x.db = db
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == 0 {
		_, err = db.Exec(indexSchema + fmt.Sprintf("PRAGMA user_version = %d", indexVersion))
	} else if version != indexVersion {
		err = fmt.Errorf("version %d, this headrace writes %d", version, indexVersion)
	}
	if err != nil {
		return err
	}
	if x.writer, err = newWriter(db); err != nil {
		return err
	}
	return x.trusted()
}

// trusted tells whether the machine runs since the index was written last, or the index was closed, and notes the boot it is written in.
func (x *index) trusted() error {
	if _, err := x.db.Exec("CREATE TABLE IF NOT EXISTS boot (id TEXT)"); err != nil {
		return err
	}
	var before string
	now := bootID()
	err := x.db.QueryRow("SELECT id FROM boot").Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = x.db.Exec("INSERT INTO boot VALUES (?)", now)
		return err
	}
	if err == nil && (before == "" || before != now) {
		err = errors.New("the machine may have stopped without writing it")
	}
	return err
}

// reset deletes the index and begins an empty one.
func (x *index) reset() error {
	if x.writer != nil {
		_ = x.writer.close()
		x.writer = nil
	}
	if x.db != nil {
		if err := x.db.Close(); err != nil {
			x.log.Warn("job index: close", "error", err)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(x.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	x.bounds.forget()
	return x.open()
}

// close syncs the index, so that the next boot can trust it.
func (x *index) close() error {
	var err error
	for _, text := range []string{"PRAGMA synchronous = FULL", "PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM boot", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err = x.writer.conn.ExecContext(context.Background(), text); err != nil {
			break
		}
	}
	return errors.Join(err, x.writer.close(), x.db.Close())
}

// applied is the journal sequence up to which the index is complete.
func (x *index) applied() (seq uint64, err error) {
	err = x.db.QueryRow("SELECT seq FROM applied").Scan(&seq)
	return seq, err
}

// row is one job as the index stores it.
type row struct {
	Info
	id          ID
	state       State
	attempts    []Attempt
	due         time.Time
	runs        uint32
	lastEvent   uint32
	events      []Event
	blobs       []blob.Digest
	seq, endSeq uint64
}

// doc is the column of that name: what has no column of its own. Zero members are left out, so that it is short for a plain job.
type doc struct {
	Priority Priority        `json:"p"`
	Attempt  int             `json:"a"`
	Worker   string          `json:"w"`
	Started  int64           `json:"s"`
	RunAt    int64           `json:"at,omitempty"`
	Due      int64           `json:"due,omitempty"`
	Runs     uint32          `json:"r"`
	Events   uint32          `json:"e"`
	Tags     []string        `json:"tags,omitempty"`
	Parent   string          `json:"parent,omitempty"`
	User     string          `json:"user,omitempty"`
	Progress json.RawMessage `json:"progress,omitempty"`
	Error    string          `json:"error,omitempty"`
	Attempts []Attempt       `json:"attempts,omitempty"`
}

// rowOf copies a job. Called under Jobs.mu.
func rowOf(b *job) row {
	r := row{Info: infoOf(b), id: b.ID, state: b.seen(), due: b.due, runs: b.runs, lastEvent: b.events, seq: b.seq, endSeq: b.endSeq}
	if b.more != nil {
		r.attempts, r.blobs = b.attempts, b.blobs
		if b.seen().Terminal() && !b.plain() {
			r.events = b.history
		}
	}
	return r
}

// doc encodes the column of that name. A plain job is written by hand: this is done for every job.
func (r *row) doc(priority Priority) ([]byte, error) {
	if r.Tags == nil && r.Parent == "" && r.User == "" && r.Progress == nil && r.Error == "" && r.attempts == nil && r.due.IsZero() {
		return fmt.Appendf(nil, `{"p":%d,"a":%d,"w":%q,"s":%d,"at":%d,"r":%d,"e":%d}`,
			priority, r.Attempt, r.Worker, nanos(r.Started), nanos(r.RunAt), r.runs, r.lastEvent), nil
	}
	return json.Marshal(doc{Priority: priority, Attempt: r.Attempt, Worker: r.Worker, Started: nanos(r.Started), RunAt: nanos(r.RunAt), Due: nanos(r.due), Runs: r.runs,
		Events: r.lastEvent, Tags: r.Tags, Parent: r.Parent, User: r.User, Progress: r.Progress, Error: r.Error, Attempts: r.attempts})
}

// write stores rows and that the index is complete up to seq.
func (x *index) write(rows []row, seq uint64) error {
	if err := x.writer.write(rows, seq); err != nil {
		return err
	}
	x.bounds.added(rows)
	if now := time.Now(); now.Sub(x.trickled) >= trickleEvery {
		x.trickled = now
		for _, suffix := range []string{"", "-wal"} {
			trickle(x.path + suffix)
		}
	}
	return nil
}

// trickleEvery is how often the system is told to begin to write the pages of the index, which nobody syncs. Left alone it gathers them for half
// a minute and writes all at once; commits of the journal then wait for the disk, for a tenth of a second.
const trickleEvery = time.Second

const rowColumns = "id, function, queue, state, key, created, finished, seq, end_seq, doc"

func scanRow(scan func(...any) error) (row, error) {
	var r row
	var id, encoded []byte
	var created, finished int64
	if err := scan(&id, &r.Function, &r.Queue, &r.state, &r.Key, &created, &finished, &r.seq, &r.endSeq, &encoded); err != nil {
		return r, err
	}
	var d doc
	if err := json.Unmarshal(encoded, &d); err != nil {
		return r, err
	}
	r.State, r.Priority = r.state.String(), d.Priority.String()
	r.Attempt, r.Worker, r.Tags, r.Parent, r.User, r.Progress, r.Error = d.Attempt, d.Worker, d.Tags, d.Parent, d.User, d.Progress, d.Error
	r.Created, r.Finished, r.Started, r.RunAt = fromStored(created), fromStored(finished), fromStored(d.Started), fromStored(d.RunAt)
	r.due, r.attempts, r.runs, r.lastEvent = fromStored(d.Due), d.Attempts, d.Runs, d.Events
	if err := setID(&r.id, id); err != nil {
		return r, err
	}
	r.ID = r.id.String()
	return r, nil
}

// get returns a job, or HR2007.
func (x *index) get(id ID) (row, error) {
	r, err := scanRow(x.db.QueryRow("SELECT "+rowColumns+" FROM jobs WHERE id = ?", id[:]).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, problem.New("HR2007", "no job %s", id).At(id.String())
	}
	return r, err
}

// history returns the stored events of a job after number n.
func (x *index) history(id ID, n uint32) ([]Event, error) {
	rows, err := x.db.Query("SELECT n, at, kind, data FROM events WHERE job = ? AND n > ? ORDER BY n", id[:], n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Event
	for rows.Next() {
		var e Event
		var at int64
		if err := rows.Scan(&e.N, &at, &e.Kind, &e.Data); err != nil {
			return nil, err
		}
		e.At = fromStored(at)
		list = append(list, e)
	}
	return list, rows.Err()
}

// Filter selects jobs of a list. Zero members select all.
type Filter struct {
	States   []State
	Function string
	Queue    string
	Tag      string
	Key      string
	Since    time.Time // created at or after
	Before   ID        // cursor: ids below this one
	Limit    int       // 1 to 1000; 0 is 100
}

// matches tells whether a job that is not in the index yet belongs to the list.
func (f *Filter) matches(b *job) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, b.seen())) && (f.Function == "" || f.Function == b.Function) &&
		(f.Queue == "" || f.Queue == b.Queue) && (f.Key == "" || f.Key == b.Key) && (f.Tag == "" || slices.Contains(b.Tags, f.Tag)) &&
		!b.Created.Before(f.Since) && (f.Before == (ID{}) || b.ID.Compare(f.Before) < 0)
}

// list returns jobs, newest first. queues are all that there are.
func (x *index) list(ctx context.Context, f Filter, queues []string) ([]row, error) {
	where, args := []string{"1"}, []any{}
	in := func(column string, values []any) {
		where = append(where, column+" IN ("+strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")+")")
		args = append(args, values...)
	}
	equal := func(condition, value string) {
		if value != "" {
			where, args = append(where, condition), append(args, value)
		}
	}
	if len(f.States) > 0 {
		states, names := make([]any, len(f.States)), make([]any, len(queues))
		for i, s := range f.States {
			states[i] = int64(s)
		}
		for i, q := range queues {
			names[i] = q
		}
		in("state", states)
		in("queue", names)
	}
	equal("function = ?", f.Function)
	equal("queue = ?", f.Queue)
	equal("key = ?", f.Key)
	equal("EXISTS (SELECT 1 FROM json_each(doc, '$.tags') WHERE value = ?)", f.Tag)
	if !f.Since.IsZero() {
		where, args = append(where, "created >= ?"), append(args, f.Since.UnixNano())
	}
	if f.Before != (ID{}) {
		where, args = append(where, "id < ?"), append(args, f.Before[:])
	}
	rows, err := x.db.QueryContext(ctx, "SELECT "+rowColumns+" FROM jobs WHERE "+strings.Join(where, " AND ")+" ORDER BY id DESC LIMIT ?", append(args, f.Limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []row
	for rows.Next() {
		r, err := scanRow(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromStored(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
