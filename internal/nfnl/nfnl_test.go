package nfnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestWriteAndRead(t *testing.T) {
	var w Writer
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, unix.NFPROTO_INET)
	w.String(1, "table")
	w.Raw(2, "abc")
	nest := w.Nest(3)
	w.Uint8(1, 8)
	w.Uint16(2, 0x1234)
	w.Uint32(3, 0x12345678)
	w.Uint64(4, 0x123456789abcdef0)
	w.EndNest(nest)
	w.Bytes(4, nil)
	w.End()
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	var types []uint16
	var m Message
	err := ParseMessages(w.B, func(h Header, body []byte) error {
		types = append(types, h.Type)
		if h.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSET {
			var err error
			m, err = ParseMessage(h, body)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{unix.NFNL_MSG_BATCH_BEGIN, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSET, unix.NFNL_MSG_BATCH_END}, types); diff != "" {
		t.Error(diff)
	}
	// Only the last message in the batch asks for an answer.
	if want := uint16(unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_ACK); m.Flags != want || w.Messages() != 3 {
		t.Errorf("flags %#x, want %#x; %d messages", m.Flags, want, w.Messages())
	}
	inner := m.Attrs.Get(3).Attrs()
	if m.Attrs.Get(1).String() != "table" || string(m.Attrs.Get(2)) != "abc" || m.Attrs.Get(4) == nil || m.Attrs.Get(9) != nil ||
		inner.Get(1).Uint8() != 8 || inner.Get(2).Uint16() != 0x1234 || inner.Get(3).Uint32() != 0x12345678 || inner.Get(4).Uint64() != 0x123456789abcdef0 {
		t.Errorf("read back %x", m.Attrs)
	}
}

func TestParseError(t *testing.T) {
	header := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(header, 20)
	code := func(errno unix.Errno) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))) }
	text := Writer{}
	text.String(extAckText, "no such set")
	cases := []struct {
		name  string
		flags uint16
		body  []byte
		want  string
	}{
		{"success", 0, append(code(0), header...), ""},
		{"plain", flagCapped, append(code(unix.ENOENT), header...), "no such file or directory"},
		{"explained", flagCapped | flagAckTLVs, append(append(code(unix.ENOENT), header...), text.B...), "no such file or directory: no such set"},
		{"short", 0, []byte{1}, ErrMalformed.Error()},
	}
	for _, c := range cases {
		got := ""
		if err := parseError(c.flags, 1, c.body); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if err := parseError(flagCapped, 7, append(code(unix.EBUSY), header...)); !errors.Is(err, unix.EBUSY) {
		t.Errorf("%v is not EBUSY", err)
	}
}

// FuzzParse reads anything as messages: an error at worst.
func FuzzParse(f *testing.F) {
	var w Writer
	w.Begin(1, 2, 0, 0)
	nest := w.Nest(1)
	w.Uint32(2, 3)
	w.EndNest(nest)
	w.End()
	f.Add(w.B)
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = ParseMessages(b, func(h Header, body []byte) error {
			_ = parseError(h.Flags|flagAckTLVs, h.Seq, body)
			m, err := ParseMessage(h, body)
			if err != nil {
				return err
			}
			for _, v := range m.Attrs.All() {
				_, _ = v.Uint64(), v.String()
				for range v.Attrs().All() {
				}
			}
			return nil
		})
	})
}
