package agent

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow by half of what lives in it before it is
// collected, not by all of it. What lives is the model of a whole cluster, which
// rarely changes: collections are rare, and their cost is small beside the memory.
const gcPercent = 50

// tuneMemory sets up garbage collection, unless whoever started the agent did.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// returnMemory returns back to the system what taking in a whole state needed.
func returnMemory() { debug.FreeOSMemory() }
