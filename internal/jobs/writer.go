package jobs

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"strings"
)

// writer is the connection that writes the index, with its statements. It speaks to the driver itself: database/sql copies every value of every
// row, which is a tenth of the garbage of a job. One goroutine uses it at a time.
type writer struct {
	conn                                   *sql.Conn
	upsert, upserts, event, refer, applied statement // of one row, of rowsAtOnce
	values                                 []driver.NamedValue
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
}

// rowsAtOnce is how many rows one statement writes.
const rowsAtOnce = 50

func newWriter(db *sql.DB) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn}
	const rows, one = "INSERT OR REPLACE INTO jobs VALUES ", "(?,?,?,?,?,?,?,?,?,?)"
	err = conn.Raw(func(c any) error {
		for _, s := range []struct {
			to   *statement
			text string
		}{
			{&w.upsert, rows + one},
			{&w.upserts, rows + one + strings.Repeat(","+one, rowsAtOnce-1)},
			{&w.event, "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?)"},
			{&w.refer, "INSERT OR IGNORE INTO blobs VALUES (?,?)"},
			{&w.applied, "UPDATE applied SET seq = ?"},
		} {
			prepared, err := c.(driver.ConnPrepareContext).PrepareContext(context.Background(), s.text)
			if err != nil {
				return err
			}
			*s.to = prepared.(statement)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) close() error {
	return errors.Join(w.conn.Raw(func(any) (err error) {
		for _, s := range []statement{w.upsert, w.upserts, w.event, w.refer, w.applied} {
			if s != nil {
				err = errors.Join(err, s.Close())
			}
		}
		return err
	}), w.conn.Close())
}

// write stores rows in one transaction, and that the index is complete up to seq, if that is not 0.
func (w *writer) write(rows []row, seq uint64) error {
	return w.conn.Raw(func(c any) error {
		say := func(text string) error {
			_, err := c.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
			return err
		}
		err := say("BEGIN")
		if err != nil {
			return err
		}
		if err = w.put(rows, seq); err == nil {
			err = say("COMMIT")
		}
		if err != nil {
			_ = say("ROLLBACK") // there may be no transaction any more
		}
		return err
	})
}

func (w *writer) put(rows []row, seq uint64) error {
	w.values = w.values[:0] // a row that could not be encoded has left some
	for rest := rows; len(rest) > 0; {
		n, s := 1, w.upsert
		if len(rest) >= rowsAtOnce {
			n, s = rowsAtOnce, w.upserts
		}
		for i := range rest[:n] {
			if err := w.row(&rest[i]); err != nil {
				return err
			}
		}
		if err := w.exec(s); err != nil {
			return err
		}
		rest = rest[n:]
	}
	for i := range rows {
		r := &rows[i]
		for _, e := range r.events {
			w.value(r.id[:], int64(e.N), nanos(e.At), e.Kind, e.Data)
			if err := w.exec(w.event); err != nil {
				return err
			}
		}
		for _, d := range r.blobs {
			w.value(r.id[:], string(d))
			if err := w.exec(w.refer); err != nil {
				return err
			}
		}
	}
	if seq > 0 {
		w.value(int64(seq))
		return w.exec(w.applied)
	}
	return nil
}

// row adds the columns of a row.
func (w *writer) row(r *row) error {
	priority, _ := ParsePriority(r.Priority)
	encoded, err := r.doc(priority)
	w.value(r.id[:], r.Function, r.Queue, int64(r.state), r.Key, nanos(r.Created), nanos(r.Finished), int64(r.seq), int64(r.endSeq), encoded)
	return err
}

// value adds values of types that the driver knows.
func (w *writer) value(values ...any) {
	for _, v := range values {
		w.values = append(w.values, driver.NamedValue{Ordinal: len(w.values) + 1, Value: v})
	}
}

// exec executes a statement with the values that were added.
func (w *writer) exec(s statement) error {
	runtime.Gosched() // all of them take many times what a request does
	_, err := s.ExecContext(context.Background(), w.values)
	clear(w.values)
	w.values = w.values[:0]
	return err
}
