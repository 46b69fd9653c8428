package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

var familyDigit = [2]string{"4", "6"}

func familyOf(a netip.Addr) int { return policy.FamilyOf(a).Index() }

func addrType(family int) codec.DataType { return codec.IPv4Addr + codec.DataType(family) }

func addrLen(family int) uint32 { return [...]uint32{4, 16}[family] }

func addrKey(a netip.Addr) string { return string(a.AsSlice()) }
