package input

import "fmt"

// UnreportedNote says what is not known of nodes because their agents' reports cannot be read; empty if they can, or
// there are none.
func (in *Input) UnreportedNote() string {
	if in.Unreported == nil {
		return ""
	}
	return fmt.Sprintf("of nodes only the addresses of their status and of --node-address are known: %v", in.Unreported)
}
