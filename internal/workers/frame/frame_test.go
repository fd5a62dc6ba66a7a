package frame

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strconv"
	"testing"
	"testing/iotest"
)

type vectors struct {
	Protocol int `json:"protocol"`
	Frames   []struct {
		Name     string          `json:"name"`
		Hex      string          `json:"hex"`
		Kind     string          `json:"kind"`
		Code     Kind            `json:"code"`
		Stream   string          `json:"stream"`
		Length   uint32          `json:"length"`
		JSON     json.RawMessage `json:"json"`
		Function uint16          `json:"function"`
		Credit   *uint32         `json:"credit"`
		Bytes    *string         `json:"bytes"`
		Tasks    []struct {
			Task     string `json:"task"`
			Function uint16 `json:"function"`
			Meta     string `json:"meta"`
			Args     string `json:"args"`
		} `json:"tasks"`
		Results []struct {
			Task   string `json:"task"`
			Micros uint32 `json:"micros"`
			JSON   string `json:"json"`
		} `json:"results"`
	} `json:"frames"`
	Invalid []struct{ Name, Hex, At string } `json:"invalid"`
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("../../../spec/vectors/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t testing.TB, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestVectors(t *testing.T) {
	v := load(t)
	if v.Protocol != Version {
		t.Fatalf("vectors are of protocol %d", v.Protocol)
	}
	for _, c := range v.Frames {
		t.Run(c.Name, func(t *testing.T) {
			whole := unhex(t, c.Hex)
			f, err := NewReader(iotest.OneByteReader(bytes.NewReader(whole))).Next()
			if err != nil {
				t.Fatal(err)
			}
			if f.Kind != c.Code || f.Kind.String() != c.Kind || f.Stream != number(t, c.Stream) || uint32(len(f.Body)) != c.Length {
				t.Fatalf("read %s %d of %d bytes", f.Kind, f.Stream, len(f.Body))
			}
			if err := Check(f.Kind, f.Body); err != nil {
				t.Error(err)
			}
			again := Begin(nil, f.Kind, f.Stream)
			mark := len(again)
			switch {
			case c.Tasks != nil:
				walk := WalkTasks(f.Body)
				if f.Kind == Batch {
					walk = WalkBatch(f.Body)
					again = AppendBatchHead(again, c.Function, uint32(len(c.Tasks)))
				}
				for _, want := range c.Tasks {
					if !walk.Next() {
						t.Fatal("too few tasks: ", walk.Err())
					}
					function := want.Function
					if f.Kind == Batch {
						function = c.Function
						again = AppendItem(again, walk.Task, walk.Meta, walk.Args)
					} else {
						again = AppendTask(again, walk.Task, walk.Function, walk.Meta, walk.Args)
					}
					if walk.Task != number(t, want.Task) || walk.Function != function || string(walk.Meta) != want.Meta || string(walk.Args) != want.Args {
						t.Errorf("task %d function %d meta %s args %s", walk.Task, walk.Function, walk.Meta, walk.Args)
					}
				}
				if walk.Next() || walk.Err() != nil {
					t.Error("the walk did not end: ", walk.Err())
				}
			case c.Results != nil:
				walk := WalkResults(f.Body)
				for _, want := range c.Results {
					if !walk.Next() {
						t.Fatal("too few results: ", walk.Err())
					}
					again = AppendResult(again, walk.Task, walk.Micros, walk.JSON)
					if walk.Task != number(t, want.Task) || walk.Micros != want.Micros || string(walk.JSON) != want.JSON {
						t.Errorf("result %d in %d µs: %s", walk.Task, walk.Micros, walk.JSON)
					}
				}
				if walk.Next() || walk.Err() != nil {
					t.Error("the walk did not end: ", walk.Err())
				}
			case c.Credit != nil:
				if n, err := ParseCredit(f.Body); err != nil || n != *c.Credit {
					t.Errorf("credit %d, %v", n, err)
				}
				if got := AppendCredit(nil, *c.Credit); !bytes.Equal(got, whole) {
					t.Errorf("wrote %x", got)
				}
				return
			case c.Bytes != nil:
				again = append(again, unhex(t, *c.Bytes)...)
			default:
				var got, want any
				if json.Unmarshal(f.Body, &got) != nil && len(f.Body) > 0 {
					t.Fatal("body is not JSON")
				}
				_ = json.Unmarshal(c.JSON, &want)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("body %v instead of %v", got, want)
				}
				again = append(again, f.Body...)
			}
			if again = End(again, mark); !bytes.Equal(again, whole) {
				t.Errorf("wrote %x instead of %x", again, whole)
			}
		})
	}
	for _, c := range v.Invalid {
		t.Run(c.Name, func(t *testing.T) {
			f, err := NewReader(bytes.NewReader(unhex(t, c.Hex))).Next()
			switch c.At {
			case "header":
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("header was taken: %v", err)
				}
			case "end":
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("end is %v", err)
				}
			case "container":
				if err == nil {
					err = walk(f)
				}
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("container was taken: %v", err)
				}
			default:
				if err == nil {
					err = Check(f.Kind, f.Body)
				}
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("body was taken: %v", err)
				}
			}
		})
	}
}

// walk goes through a container to its end.
func walk(f Frame) error {
	if f.Kind == Result {
		r := WalkResults(f.Body)
		for r.Next() {
		}
		return r.Err()
	}
	t := WalkTasks(f.Body)
	if f.Kind == Batch {
		t = WalkBatch(f.Body)
	}
	for t.Next() {
	}
	return t.Err()
}

func TestReaderKeepsFramesOfAllSizes(t *testing.T) {
	var wire []byte
	sizes := []int{0, 1, small - HeaderSize, small, small + 1, 3*large + 7, 5, large, MaxBody, 0, 17}
	for i, n := range sizes {
		wire = Append(wire, Chunk, uint64(i), bytes.Repeat([]byte{byte(i)}, n))
	}
	r := NewReader(iotest.HalfReader(bytes.NewReader(wire)))
	for i, n := range sizes {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Stream != uint64(i) || len(f.Body) != n || bytes.Count(f.Body, []byte{byte(i)}) != n {
			t.Fatalf("frame %d came as %d with %d bytes", i, f.Stream, len(f.Body))
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("end is %v", err)
	}
	if len(r.buf) > small {
		t.Errorf("the reader keeps %d bytes after a large frame", len(r.buf))
	}
}

func FuzzReader(f *testing.F) {
	v := load(f)
	for _, c := range v.Frames {
		f.Add(unhex(f, c.Hex))
	}
	for _, c := range v.Invalid {
		f.Add(unhex(f, c.Hex))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := NewReader(bytes.NewReader(wire))
		var again []byte
		for {
			fr, err := r.Next()
			if err != nil {
				break
			}
			again = Append(again, fr.Kind, fr.Stream, fr.Body)
			_ = Check(fr.Kind, fr.Body)
			switch fr.Kind {
			case Task, Batch, Result:
				_ = walk(fr)
			}
		}
		if !bytes.HasPrefix(wire, again) {
			t.Fatalf("read %x out of %x", again, wire)
		}
	})
}

func FuzzTasks(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(AppendTask(AppendTask(nil, 1, 2, []byte(`{"id":"a"}`), []byte(`{}`)), 2, 3, nil, []byte(`{"x":1}`)), false)
	f.Add(AppendItem(AppendBatchHead(nil, 3, 1), 9, nil, []byte(`{}`)), true)
	f.Fuzz(func(t *testing.T, body []byte, batch bool) {
		walk, again := WalkTasks(body), []byte(nil)
		if batch {
			walk = WalkBatch(body)
			if len(body) >= batchHead {
				again = append(again, body[:batchHead]...)
			}
		}
		for walk.Next() {
			if batch {
				again = AppendItem(again, walk.Task, walk.Meta, walk.Args)
			} else {
				again = AppendTask(again, walk.Task, walk.Function, walk.Meta, walk.Args)
			}
		}
		if walk.Err() == nil && !bytes.Equal(again, body) {
			t.Fatalf("%x became %x", body, again)
		}
	})
}

func FuzzResults(f *testing.F) {
	f.Add(AppendResult(AppendResult(nil, 1, 2, []byte("42")), 2, 3, []byte("null")))
	f.Fuzz(func(t *testing.T, body []byte) {
		walk, again := WalkResults(body), []byte(nil)
		for walk.Next() {
			again = AppendResult(again, walk.Task, walk.Micros, walk.JSON)
		}
		if walk.Err() == nil && !bytes.Equal(again, body) {
			t.Fatalf("%x became %x", body, again)
		}
	})
}
