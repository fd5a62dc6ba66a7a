// Package trim gives memory back to the system that was needed for a while: that of a start, or of a crowd that went to rest.
package trim

import (
	"runtime"
	"runtime/debug"
)

// Now collects garbage, gives what is free back to the system and, on Linux, lets go of the program's own pages: most of them are needed at
// the start only, and those that are needed again come back from the system's cache. It takes some milliseconds of a processor.
func Now() {
	runtime.GC() // what pools hold takes two collections
	debug.FreeOSMemory()
	program()
}
