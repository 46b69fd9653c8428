// Package flags are values of flags that several commands take.
package flags

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// Protocols are the protocols that have names.
var Protocols = []string{"TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "UDPLite"}

// ParseProtocol is policy.ParseProtocol, whatever the case.
func ParseProtocol(text string) (policy.Protocol, error) {
	for _, name := range Protocols {
		if strings.EqualFold(name, text) {
			text = name
		}
	}
	p, err := policy.ParseProtocol(text)
	if err != nil {
		return 0, fmt.Errorf("%w%s", err, suggest.DidYouMean(text, Protocols))
	}
	return p, nil
}

// ParsePort reads a port from 1 to 65535.
func ParsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port: expected a number from 1 to 65535", text)
	}
	return uint16(n), nil
}
