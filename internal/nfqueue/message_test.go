package nfqueue

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// packetMessage is a packet as the kernel hands it out.
func packetMessage(id uint32, payload string) []byte {
	var w nfnl.Writer
	w.BeginFor(unix.NFNL_SUBSYS_QUEUE, messagePacket, 0, 7)
	head := binary.BigEndian.AppendUint32(nil, id)
	w.Bytes(attrHeader, append(head, 8, 0, 4))
	w.Raw(attrPayload, payload)
	w.End()
	return w.B
}

// parseAll parses the packets of one datagram.
func parseAll(b []byte, each func(Packet)) error {
	return nfnl.ParseMessages(b, func(h nfnl.Header, body []byte) error {
		m, err := nfnl.ParseMessage(h, body)
		if err != nil {
			return err
		}
		p, err := parse(h, m)
		if err == nil {
			each(p)
		}
		return err
	})
}

func TestParse(t *testing.T) {
	type seen struct {
		id      uint32
		payload string
	}
	var got []seen
	if err := parseAll(slices.Concat(packetMessage(5, "abc"), packetMessage(6, "")), func(p Packet) {
		got = append(got, seen{p.ID, string(p.Payload)})
	}); err != nil || !slices.Equal(got, []seen{{5, "abc"}, {6, ""}}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestMessagesNameTheirQueue: the number is in the head of each message.
func TestMessagesNameTheirQueue(t *testing.T) {
	for name, write := range map[string]func(*nfnl.Writer){
		"bind": func(w *nfnl.Writer) { writeBind(w, 21553) }, "configure": func(w *nfnl.Writer) { writeConfig(w, 21553, 10) },
		"verdict": func(w *nfnl.Writer) { writeVerdict(w, 21553, 9) },
	} {
		var w nfnl.Writer
		write(&w)
		if got := binary.BigEndian.Uint16(w.B[unix.SizeofNlMsghdr+2:]); got != 21553 {
			t.Errorf("%s: queue %d", name, got)
		}
		if err := nfnl.ParseMessages(w.B, func(h nfnl.Header, body []byte) error {
			_, err := nfnl.ParseMessage(h, body)
			return err
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse reads anything as packets.
func FuzzParse(f *testing.F) {
	f.Add(packetMessage(1, "abc"))
	f.Add(packetMessage(1, "abc")[:20])
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = parseAll(b, func(p Packet) { _ = string(p.Payload) })
	})
}
