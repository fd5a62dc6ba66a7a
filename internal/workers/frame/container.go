package frame

import "encoding/binary"

const (
	taskHead   = 20 // u64 task, u16 function, u16 0, u32 meta, u32 args
	batchHead  = 8  // u16 function, u16 0, u32 count
	itemHead   = 16 // u64 task, u32 meta, u32 args
	resultHead = 16 // u64 task, u32 micros, u32 bytes
)

// TaskSize is what a task takes in the body of a task frame, in bytes.
func TaskSize(meta, args []byte) int { return taskHead + len(meta) + len(args) }

// AppendTask appends one task to the body of a task frame.
func AppendTask(dst []byte, task uint64, function uint16, meta, args []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, task)
	dst = binary.LittleEndian.AppendUint16(dst, function)
	dst = append(dst, 0, 0)
	return appendParts(dst, meta, args)
}

// AppendBatchHead begins the body of a batch frame of count items.
func AppendBatchHead(dst []byte, function uint16, count uint32) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, function)
	dst = append(dst, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, count)
}

// AppendItem appends one item to the body of a batch frame.
func AppendItem(dst []byte, task uint64, meta, args []byte) []byte {
	return appendParts(binary.LittleEndian.AppendUint64(dst, task), meta, args)
}

// AppendResult appends one result to the body of a result frame.
func AppendResult(dst []byte, task uint64, micros uint32, json []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, task)
	dst = binary.LittleEndian.AppendUint32(dst, micros)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(json)))
	return append(dst, json...)
}

func appendParts(dst, meta, args []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(meta)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(args)))
	return append(append(dst, meta...), args...)
}

// Tasks walks the body of a task or batch frame: for t := frame.WalkTasks(body); t.Next(); { … }, then Err. The slices point into the body.
type Tasks struct {
	Task     uint64
	Function uint16
	Meta     []byte
	Args     []byte

	rest  []byte
	batch bool
	left  uint32
	err   error
}

// WalkTasks walks the body of a task frame.
func WalkTasks(body []byte) Tasks {
	if len(body) == 0 {
		return Tasks{err: malformed("no task")}
	}
	return Tasks{rest: body}
}

// WalkBatch walks the body of a batch frame.
func WalkBatch(body []byte) Tasks {
	if len(body) < batchHead {
		return Tasks{batch: true, err: malformed("batch of %d bytes", len(body))}
	}
	t := Tasks{batch: true, Function: binary.LittleEndian.Uint16(body), left: binary.LittleEndian.Uint32(body[4:]), rest: body[batchHead:]}
	if binary.LittleEndian.Uint16(body[2:]) != 0 {
		t.err = malformed("reserved bytes of a batch are not 0")
	}
	return t
}

// Next moves to the next task; false at the end or at an error.
func (t *Tasks) Next() bool {
	if t.err != nil || (!t.batch && len(t.rest) == 0) {
		return false
	}
	head, sizes := taskHead, 12
	if t.batch {
		head, sizes = itemHead, 8
		if t.left == 0 {
			if len(t.rest) > 0 {
				t.err = malformed("%d bytes after the last item of a batch", len(t.rest))
			}
			return false
		}
		t.left--
	}
	if len(t.rest) < head {
		t.err = malformed("task cut short")
		return false
	}
	t.Task = binary.LittleEndian.Uint64(t.rest)
	if !t.batch {
		t.Function = binary.LittleEndian.Uint16(t.rest[8:])
		if binary.LittleEndian.Uint16(t.rest[10:]) != 0 {
			t.err = malformed("reserved bytes of a task are not 0")
			return false
		}
	}
	meta, args := uint64(binary.LittleEndian.Uint32(t.rest[sizes:])), uint64(binary.LittleEndian.Uint32(t.rest[sizes+4:]))
	t.rest = t.rest[head:]
	if meta+args > uint64(len(t.rest)) {
		t.err = malformed("task announces %d bytes, %d are left", meta+args, len(t.rest))
		return false
	}
	t.Meta, t.Args = t.rest[:meta:meta], t.rest[meta:meta+args:meta+args]
	t.rest = t.rest[meta+args:]
	return true
}

// Err is what ended the walk early, or nil.
func (t *Tasks) Err() error { return t.err }

// Results walks the body of a result frame like Tasks.
type Results struct {
	Task   uint64
	Micros uint32 // run time of the function
	JSON   []byte

	rest []byte
	err  error
}

// WalkResults walks the body of a result frame.
func WalkResults(body []byte) Results {
	if len(body) == 0 {
		return Results{err: malformed("no result")}
	}
	return Results{rest: body}
}

// Next moves to the next result; false at the end or at an error.
func (r *Results) Next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	if len(r.rest) < resultHead {
		r.err = malformed("result cut short")
		return false
	}
	r.Task, r.Micros = binary.LittleEndian.Uint64(r.rest), binary.LittleEndian.Uint32(r.rest[8:])
	size := uint64(binary.LittleEndian.Uint32(r.rest[12:]))
	r.rest = r.rest[resultHead:]
	if size > uint64(len(r.rest)) {
		r.err = malformed("result announces %d bytes, %d are left", size, len(r.rest))
		return false
	}
	r.JSON, r.rest = r.rest[:size:size], r.rest[size:]
	return true
}

// Err is what ended the walk early, or nil.
func (r *Results) Err() error { return r.err }
