package trim

import (
	"bufio"
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// program lets go of the pages of the executable that are as they are in its file. A failure is no harm: the pages stay.
func program() {
	var self unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &self); err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range mappings(text, strconv.FormatUint(self.Ino, 10)) {
		// The raw call, because these addresses are no memory of Go's.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(m.low), uintptr(m.high-m.low), unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ low, high uint64 }

// mappings finds those of a file, by its inode, in the text of smaps that can only be read and of which no page was changed. Its path may be
// that of another file by now.
func mappings(smaps []byte, inode string) (list []mapping) {
	var at mapping // high is 0 if the lines do not matter
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) >= 6 && !bytes.HasSuffix(fields[0], []byte(":")) {
			at = mapping{}
			if low, high, ok := bytes.Cut(fields[0], []byte("-")); ok && len(fields[1]) == 4 && fields[1][1] == '-' && string(fields[4]) == inode {
				at.low, _ = strconv.ParseUint(string(low), 16, 64)
				at.high, _ = strconv.ParseUint(string(high), 16, 64)
			}
		}
		if len(fields) == 3 && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0" && at.high > at.low {
			list = append(list, at)
		}
	}
	return list
}
