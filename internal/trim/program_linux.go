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
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range mappings(text, self) {
		// The raw call, because these addresses are no memory of Go's.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(m.low), uintptr(m.high-m.low), unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ low, high uint64 }

// mappings finds those of a file in the text of smaps that can only be read and of which no page was changed.
func mappings(smaps []byte, file string) (list []mapping) {
	var at mapping // high is 0 if the lines do not matter
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) >= 6 && !bytes.HasSuffix(fields[0], []byte(":")) {
			at = mapping{}
			if low, high, ok := bytes.Cut(fields[0], []byte("-")); ok && len(fields[1]) == 4 && fields[1][1] == '-' && string(fields[5]) == file {
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
