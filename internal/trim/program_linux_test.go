package trim

import (
	"bytes"
	"os"
	"slices"
	"testing"
)

const smaps = `00400000-016b5000 r--p 00000000 fe:00 123  /usr/bin/program
Rss:               17732 kB
Anonymous:             0 kB
016b5000-02900000 r-xp 012b5000 fe:00 123  /usr/bin/program
Rss:               19836 kB
Anonymous:             0 kB
02900000-02910000 r--p 02500000 fe:00 123  /usr/bin/program
Rss:                  64 kB
Anonymous:            64 kB
02910000-02a00000 rw-p 02510000 fe:00 123  /usr/bin/program
Rss:                 100 kB
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Rss:                4096 kB
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 9  /usr/lib/libc.so.6
Rss:                   4 kB
Anonymous:             0 kB
`

// Pages that a loader has changed, and those of other files, are not touched: they would not come back.
func TestMappings(t *testing.T) {
	want := []mapping{{0x400000, 0x16b5000}, {0x16b5000, 0x2900000}}
	if got := mappings([]byte(smaps), "123"); !slices.Equal(got, want) {
		t.Errorf("%x", got)
	}
}

func FuzzMappings(f *testing.F) {
	f.Add([]byte(smaps), "123")
	f.Fuzz(func(t *testing.T, text []byte, inode string) {
		for _, m := range mappings(text, inode) {
			if m.low >= m.high {
				t.Errorf("%x", m)
			}
		}
	})
}

// The program's pages are let go and it goes on.
func TestNow(t *testing.T) {
	resident := func() (kb int) {
		text, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := bytes.Cut(text, []byte("RssFile:"))
		for _, c := range bytes.TrimSpace(rest) {
			if c < '0' || c > '9' {
				break
			}
			kb = 10*kb + int(c-'0')
		}
		return kb
	}
	before := resident()
	Now()
	if after := resident(); after >= before {
		t.Errorf("%d kB of files are resident, %d before", after, before)
	}
}
