package nft

import "github.com/tierwall/tierwall/internal/dataplane/nft/codec"

// nodesOrder is how many places in the order of deletion an entry and its nodes take.
const nodesOrder codec.DeleteOrder = 33

// The orders of what is deleted of workloads.
const (
	orderEntry codec.DeleteOrder = iota // chains that nothing but base chains refers to; nodes of switches
	orderClass                   = nodesOrder + iota
	orderClassSet
	orderExceptions
	orderRow
	orderRowSet
	orderColumn
	orderColumnSet
	orderDecider
)

// The orders of what is deleted of hosts: all of it refers to rows, and nothing refers to it.
const (
	orderHost codec.DeleteOrder = iota - 200
	orderHostFamily
	orderHostLinks
	orderToNode
	orderAttachment
	orderAttachmentSet = orderAttachment + nodesOrder
	orderProgram       = orderAttachmentSet + 1
	orderProgramSet    = orderProgram + nodesOrder
	orderProgramClass  = orderProgramSet + 1
)
