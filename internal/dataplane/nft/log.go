package nft

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// Logging says how the kernel tells of packets that rules with action Log match:
// to whoever listens at an NFLOG group. A packet that meets the tables is the
// first one of a connection, or one that is denied.
type Logging struct {
	Group uint16 // 0: it does not tell
	// Rate is how many packets a second it tells of for one rule and one decision
	// that follows; as many again at once. 0 is DefaultLogRate.
	Rate uint32
	// OutOfState is the group to which segments are told of that belong to no connection and
	// begin none, before they are dropped; 0: they are not. See [dataplane.Resumer].
	OutOfState uint16
}

// DefaultLogRate is many enough to see what goes on, and few enough to do no harm.
const DefaultLogRate = 100

// snapLength is how much of a packet is told: headers of layers 3 and 4, with options.
const snapLength = 128

// logRules tell of what a decider decides, once for each rule that logs it.
func (l Logging) logRules(d dataplane.Decider, allow bool) []codec.Rule {
	if l.Group == 0 {
		return nil
	}
	var list []codec.Rule
	rate := cmp.Or(l.Rate, DefaultLogRate)
	for i, by := range d.Logs.All() {
		list = append(list, codec.Rule{Exprs: []codec.Expr{
			{Kind: codec.LimitRate, Key: rate, Length: rate},
			{Kind: codec.LogTo, Key: uint32(l.Group), Length: snapLength, Data: logPrefix(d, allow, i, dataplane.DeciderText(by))},
		}})
	}
	return list
}

// maxPrefix is the longest prefix: NF_LOG_PREFIXLEN, without the zero byte.
const maxPrefix = 127

// logPrefix is what comes with a packet: for people who listen with a tool of
// their own, and, at its end, by which a decider and one of its rules are found.
func logPrefix(d dataplane.Decider, allow bool, i int, text string) string {
	word := "denied"
	if allow {
		word = "allowed"
	}
	tail := fmt.Sprintf(" %v %s %d.%d", d.Direction, word, d.ID, i)
	if n := maxPrefix - len(tail); len(text) > n {
		for !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return text + tail
}

// ParseLogPrefix returns the decider that a packet was logged before, which of its
// Logs did, and whether it allowed the packet.
func ParseLogPrefix(prefix string) (id dataplane.DeciderID, log int, allow, ok bool) {
	f := strings.Fields(prefix)
	if len(f) < 3 {
		return 0, 0, false, false
	}
	decider, index, found := strings.Cut(f[len(f)-1], ".")
	n, err := strconv.ParseUint(decider, 10, 32)
	log, err2 := strconv.Atoi(index)
	word := f[len(f)-2]
	if !found || err != nil || err2 != nil || log < 0 || word != "allowed" && word != "denied" {
		return 0, 0, false, false
	}
	return dataplane.DeciderID(n), log, word == "allowed", true
}
