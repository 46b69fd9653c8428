package enforceable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A table of iptables' own kernel interface (iptables-legacy; iptables-nft makes nftables). The kernel gives
// a table as a whole: entries one after the other, of which those with the target ERROR begin the chains that
// somebody made, and hold their names.
const (
	soGetInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	soGetEntries = 65 // IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES

	nameLen     = 32 // XT_TABLE_MAXNAMELEN
	infoLen     = 84 // struct ipt_getinfo
	infoSize    = 80 // its field size
	headLen     = 40 // struct ipt_get_entries up to the entries
	targetHead  = 32 // struct xt_entry_target
	maxEntries  = 64 << 20
	errorTarget = "ERROR"
)

// legacyFamily is what differs between IPv4 and IPv6.
type legacyFamily struct {
	family, level int
	names         string // the file that lists tables
	addrLen       int    // of struct ipt_ip, ip6t_ip6
}

var legacyFamilies = []legacyFamily{
	{unix.AF_INET, unix.IPPROTO_IP, "/proc/thread-self/net/ip_tables_names", 84},
	{unix.AF_INET6, unix.IPPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names", 136},
}

// legacyChains returns the names of the chains that somebody made in a table, each with the number of its rules.
func legacyChains(table string) (map[string]int, error) {
	chains := map[string]int{}
	for _, f := range legacyFamilies {
		// To ask for a table that is not there would make it.
		if text, err := os.ReadFile(f.names); err != nil || !slices.Contains(strings.Fields(string(text)), table) {
			continue
		}
		entries, err := f.read(table)
		if err != nil {
			return nil, err
		}
		for name, rules := range chainsOf(entries, f.addrLen) {
			chains[name] = max(chains[name], rules) // of either family
		}
	}
	return chains, nil
}

// read returns the entries of a table.
func (f legacyFamily) read(table string) ([]byte, error) {
	fd, err := unix.Socket(f.family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // any socket of the family: a raw one would need CAP_NET_RAW
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	const tries = 5 // the table may grow in between
	for range tries {
		info := make([]byte, infoLen)
		copy(info, table)
		if err := getsockopt(fd, f.level, soGetInfo, info); err != nil {
			return nil, err
		}
		size := binary.NativeEndian.Uint32(info[infoSize:])
		if size > maxEntries {
			return nil, fmt.Errorf("table %s has %d bytes: at most %d are read", table, size, maxEntries)
		}
		entries := make([]byte, headLen+int(size))
		copy(entries, table)
		binary.NativeEndian.PutUint32(entries[nameLen:], size)
		err := getsockopt(fd, f.level, soGetEntries, entries)
		if !errors.Is(err, unix.EAGAIN) {
			return entries[headLen:], err
		}
	}
	return nil, os.NewSyscallError("getsockopt", unix.EAGAIN)
}

func getsockopt(fd, level, option int, b []byte) error {
	n := uint32(len(b)) //nolint:gosec // bounded by maxEntries
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return os.NewSyscallError("getsockopt", errno)
	}
	return nil
}

// chainsOf finds the chains among the entries of a table, and the number of rules of each: what follows its
// first entry, without the last one, which is its end.
func chainsOf(entries []byte, addrLen int) map[string]int {
	chains, name := map[string]int{}, ""
	// struct ipt_entry: the addresses, nfcache, then the offsets of the target and of the next entry.
	targetAt, nextAt := addrLen+4, addrLen+6
	for len(entries) >= nextAt+2 {
		target, next := int(binary.NativeEndian.Uint16(entries[targetAt:])), int(binary.NativeEndian.Uint16(entries[nextAt:]))
		if next == 0 || next > len(entries) {
			break
		}
		t := entries[:next]
		switch {
		case target+targetHead < next && cString(t[target+2:target+targetHead]) == errorTarget:
			if name = cString(t[target+targetHead:]); name != errorTarget { // the table's own end has no other name
				chains[name] = -1
			} else {
				name = ""
			}
		case name != "":
			chains[name]++
		}
		entries = entries[next:]
	}
	for name, rules := range chains {
		chains[name] = max(0, rules)
	}
	return chains
}

// cString returns the text up to the first zero byte.
func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
