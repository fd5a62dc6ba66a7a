package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/headrace/headrace/internal/problem"
)

// index is a projection of the journal in SQLite, for lists and for jobs that have ended. It is written behind the commits, and synced
// by nobody: after a crash it is brought up to date from the journal.
type index struct {
	db     *sql.DB
	path   string
	upsert *sql.Stmt
	event  *sql.Stmt
	log    *slog.Logger
}

const indexVersion = 1

const indexSchema = `
CREATE TABLE jobs (
	id BLOB PRIMARY KEY, function TEXT, queue TEXT, state INTEGER, priority INTEGER, key TEXT, tags TEXT, parent BLOB,
	attempt INTEGER, runs INTEGER, worker TEXT, created INTEGER, run_at INTEGER, started INTEGER, finished INTEGER,
	error TEXT, attempts TEXT, seq INTEGER, end_seq INTEGER, events INTEGER, idempotency TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_state ON jobs (state, id);
CREATE INDEX jobs_finished ON jobs (queue, finished) WHERE finished > 0;
CREATE TABLE events (job BLOB, n INTEGER, at INTEGER, kind TEXT, data BLOB, PRIMARY KEY (job, n)) WITHOUT ROWID;
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
	if x.upsert, err = db.Prepare(`INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`); err != nil {
		return err
	}
	x.event, err = db.Prepare(`INSERT OR REPLACE INTO events VALUES (?,?,?,?,?)`)
	return err
}

// reset deletes the index and begins an empty one.
func (x *index) reset() error {
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
	return x.open()
}

func (x *index) close() error { return x.db.Close() }

// applied is the journal sequence up to which the index is complete.
func (x *index) applied() (seq uint64, err error) {
	err = x.db.QueryRow("SELECT seq FROM applied").Scan(&seq)
	return seq, err
}

// row is one job as the index stores it.
type row struct {
	Info
	id          ID
	attempts    []Attempt
	events      []Event
	lastEvent   uint32
	seq, endSeq uint64
	idempotency string
	runs        uint32
}

// rowOf copies a job. Called under Jobs.mu.
func rowOf(b *job) row {
	r := row{Info: infoOf(b), id: b.ID, seq: b.seq, endSeq: b.endSeq, lastEvent: b.events, idempotency: b.Idempotency, runs: b.runs}
	if b.more != nil {
		r.attempts = b.attempts
		if b.state.Terminal() && !b.plain() {
			r.events = b.history
		}
	}
	return r
}

// write stores rows and that the index is complete up to seq.
func (x *index) write(ctx context.Context, rows []row, seq uint64) error {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	upsert, event := tx.Stmt(x.upsert), tx.Stmt(x.event)
	for i := range rows {
		r := &rows[i]
		state, _ := ParseState(r.State)
		priority, _ := ParsePriority(r.Priority)
		var attempts, parent, tags any
		if len(r.attempts) > 0 {
			if attempts, err = json.Marshal(r.attempts); err != nil {
				return err
			}
		}
		if len(r.Tags) > 0 {
			if tags, err = json.Marshal(r.Tags); err != nil {
				return err
			}
		}
		if r.Parent != "" {
			parent = r.Parent
		}
		if _, err := upsert.Exec(r.id[:], r.Function, r.Queue, state, priority, r.Key, tags, parent, r.Attempt, r.runs, r.Worker,
			nanos(r.Created), nanos(r.RunAt), nanos(r.Started), nanos(r.Finished), r.Error, attempts, r.seq, r.endSeq, r.lastEvent, r.idempotency); err != nil {
			return err
		}
		for _, e := range r.events {
			if _, err := event.Exec(r.id[:], e.N, nanos(e.At), e.Kind, e.Data); err != nil {
				return err
			}
		}
	}
	if seq > 0 {
		if _, err := tx.Exec("UPDATE applied SET seq = ?", seq); err != nil {
			return err
		}
	}
	return tx.Commit()
}

const infoColumns = `id, function, queue, state, priority, key, tags, parent, attempt, runs, worker, created, run_at, started, finished, error, seq, end_seq, events`

func scanRow(scan func(...any) error) (row, error) {
	var r row
	var id []byte
	var state State
	var priority Priority
	var tags []byte
	var parent sql.NullString
	var created, runAt, started, finished int64
	if err := scan(&id, &r.Function, &r.Queue, &state, &priority, &r.Key, &tags, &parent, &r.Attempt, &r.runs, &r.Worker,
		&created, &runAt, &started, &finished, &r.Error, &r.seq, &r.endSeq, &r.lastEvent); err != nil {
		return r, err
	}
	if err := setID(&r.id, id); err != nil {
		return r, err
	}
	r.ID, r.State, r.Priority, r.Parent = r.id.String(), state.String(), priority.String(), parent.String
	r.Created, r.RunAt, r.Started, r.Finished = fromStored(created), fromStored(runAt), fromStored(started), fromStored(finished)
	if tags != nil {
		return r, json.Unmarshal(tags, &r.Tags)
	}
	return r, nil
}

// get returns a job, or HR2007.
func (x *index) get(id ID) (row, error) {
	r, err := scanRow(x.db.QueryRow("SELECT "+infoColumns+" FROM jobs WHERE id = ?", id[:]).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, problem.New("HR2007", "no job %s", id).At(id.String())
	}
	return r, err
}

// attempts returns what is recorded of the failed attempts of a job.
func (x *index) attempts(id ID) ([]Attempt, error) {
	var raw []byte
	if err := x.db.QueryRow("SELECT attempts FROM jobs WHERE id = ?", id[:]).Scan(&raw); err != nil || raw == nil {
		return nil, err
	}
	var list []Attempt
	return list, json.Unmarshal(raw, &list)
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

// list returns jobs, newest first.
func (x *index) list(ctx context.Context, f Filter) ([]row, error) {
	where, args := []string{"1"}, []any{}
	add := func(condition string, values ...any) { where, args = append(where, condition), append(args, values...) }
	if len(f.States) > 0 {
		marks := strings.TrimSuffix(strings.Repeat("?,", len(f.States)), ",")
		values := make([]any, len(f.States))
		for i, s := range f.States {
			values[i] = s
		}
		add("state IN ("+marks+")", values...)
	}
	if f.Function != "" {
		add("function = ?", f.Function)
	}
	if f.Queue != "" {
		add("queue = ?", f.Queue)
	}
	if f.Key != "" {
		add("key = ?", f.Key)
	}
	if f.Tag != "" {
		add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", f.Tag)
	}
	if !f.Since.IsZero() {
		add("created >= ?", f.Since.UnixNano())
	}
	if f.Before != (ID{}) {
		add("id < ?", f.Before[:])
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	rows, err := x.db.QueryContext(ctx, "SELECT "+infoColumns+" FROM jobs WHERE "+strings.Join(where, " AND ")+" ORDER BY id DESC LIMIT ?", append(args, min(limit, 1000))...)
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
