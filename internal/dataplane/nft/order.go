package nft

import "github.com/tierwall/tierwall/internal/dataplane/nft/codec"

// The orders of what is deleted of workloads; for that of hosts see hostrender.go.
const (
	orderEntry codec.DeleteOrder = iota // chains that nothing but base chains refers to; nodes of switches
	orderClass                   = nodesOrder + iota
	orderClassSet
	orderRow
	orderRowSet
	orderColumn
	orderColumnSet
	orderDecider
)
