package dns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func segmentOf(seq uint32, flags uint8, data []byte) *Packet {
	return &Packet{Src: netip.MustParseAddr("192.0.2.53"), Dst: someIP, SrcPort: 53, DstPort: 40000, TCP: true, Seq: seq, Flags: flags, Payload: data}
}

// TestStreams: however a stream is cut into segments, repeated and reordered, each
// message comes out once and in order.
func TestStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want [][]byte
		var wire []byte
		for i := range rapid.IntRange(1, 4).Draw(t, "messages") {
			m := bytes.Repeat([]byte{byte(i)}, rapid.IntRange(0, 3000).Draw(t, "length"))
			want = append(want, m)
			wire = append(binary.BigEndian.AppendUint16(wire, uint16(len(m))), m...)
		}
		isn := rapid.Uint32().Draw(t, "first sequence number")
		type part struct{ from, to int }
		var parts []part
		for at := 0; at < len(wire); {
			n := min(rapid.IntRange(1, 1400).Draw(t, "segment"), len(wire)-at)
			parts = append(parts, part{at, at + n})
			if rapid.IntRange(0, 5).Draw(t, "again") == 0 {
				from := max(0, at-rapid.IntRange(0, 200).Draw(t, "overlap"))
				parts = append(parts, part{from, at + n})
			}
			at += n
		}
		if rapid.Bool().Draw(t, "reordered") {
			for i := 0; i+3 < len(parts); i += 3 {
				rand.New(rand.NewPCG(1, uint64(i))).Shuffle(3, func(a, b int) { parts[i+a], parts[i+b] = parts[i+b], parts[i+a] })
			}
		}
		var s Streams
		var got [][]byte
		message := func(m []byte) uint64 {
			got = append(got, bytes.Clone(m))
			return uint64(len(got))
		}
		s.Add(segmentOf(isn, flagSYN, nil), start, message)
		for _, p := range parts {
			if g := s.Add(segmentOf(isn+1+uint32(p.from), 0, wire[p.from:p.to]), start, message); g != uint64(len(got)) {
				t.Errorf("a segment after %d messages waits for %d", len(got), g)
			}
		}
		if fmt.Sprintf("%x", got) != fmt.Sprintf("%x", want) {
			t.Errorf("%d messages, want %d", len(got), len(want))
		}
		if g := s.Add(segmentOf(isn+1+uint32(len(wire)), flagFIN, nil), start, message); g != 0 {
			t.Errorf("an empty segment waits for %d", g)
		}
		if g := s.Add(segmentOf(isn+uint32(len(wire)), flagFIN, wire[len(wire)-1:]), start, message); g != uint64(len(want)) || len(got) != len(want) {
			t.Errorf("the end sent again waits for %d, want %d", g, len(want))
		}
		if s.buffered != 0 {
			t.Errorf("%d bytes are left", s.buffered)
		}
	})
}

// TestStreamsAreBounded: streams without end, and gaps that are never filled.
func TestStreamsAreBounded(t *testing.T) {
	var s Streams
	none := func([]byte) uint64 { t.Error("a message"); return 0 }
	for port := range 3000 {
		p := segmentOf(0, flagSYN, nil)
		p.DstPort = uint16(1000 + port)
		s.Add(p, start, none)
		for i := range 40 {
			p := segmentOf(uint32(2000*i+2), 0, bytes.Repeat([]byte{0xff}, 1400))
			p.DstPort = uint16(1000 + port)
			s.Add(p, start, none)
		}
	}
	if len(s.open) > maxStreams || s.buffered > maxTotal {
		t.Errorf("%d streams, %d bytes", len(s.open), s.buffered)
	}
	late := start.Add(2 * streamIdle)
	s.Add(segmentOf(7, flagSYN, nil), late, none)
	got := 0
	s.Add(segmentOf(8, 0, []byte{0, 1, 'x'}), late, func([]byte) uint64 { got++; return 0 })
	if got != 1 {
		t.Error("no room for a new stream after all others were idle")
	}
}

// FuzzPacket reads anything as packets of streams.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 53, 10, 0, 0, 1, 0, 53, 0x9c, 0x40, 0, 13, 0, 0, 1, 2, 3, 4, 5})
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, make([]byte, 52)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := ParsePacket(b)
		if !ok {
			return
		}
		if !p.Src.IsValid() || !p.Dst.IsValid() || p.Src.Is4() != p.Dst.Is4() || len(p.Payload) > len(b)-28 && !p.TCP {
			t.Errorf("%+v", p)
		}
		var s Streams
		p.TCP = true
		s.Add(&p, start, func([]byte) uint64 { return 0 })
		s.Add(&p, start, func([]byte) uint64 { return 0 })
		if s.buffered < 0 || s.buffered > 2*len(b) {
			t.Errorf("%d bytes buffered of %d", s.buffered, len(b))
		}
	})
}

// TestStreamsAreShared: a namespace that opens as many streams as it can, or leaves
// messages unfinished, leaves others their room.
func TestStreamsAreShared(t *testing.T) {
	var s Streams
	clients, shop := map[netip.Addr]string{}, netip.MustParseAddr("10.1.0.1")
	clients[shop] = "shop"
	flood := func(i int) netip.Addr {
		a := netip.AddrFrom4([4]byte{10, 2, 0, byte(i % 13)})
		clients[a] = "flood"
		return a
	}
	for i := range 13 {
		flood(i)
	}
	s.SetClients(clients)
	add := func(to netip.Addr, port int, seq uint32, flags uint8, data []byte) (messages int) {
		p := segmentOf(seq, flags, data)
		p.Dst, p.DstPort = to, uint16(port)
		s.Add(p, start, func([]byte) uint64 { messages++; return 0 })
		return messages
	}
	whole := []byte{0, 1, 'x'}
	for i := range 3000 {
		add(flood(i), 1000+i, 0, flagSYN, nil)
	}
	if len(s.open) != maxStreams || s.Limited() != 3000-maxStreams {
		t.Errorf("%d streams, %d limited", len(s.open), s.Limited())
	}
	for i := range 300 {
		if add(shop, 1000+i, 0, flagSYN, nil); add(shop, 1000+i, 1, 0, whole) != 1 {
			t.Fatalf("no room for stream %d of a namespace that has less", i)
		}
	}
	if len(s.open) != maxStreams || s.uses["shop"].streams != 300 || s.uses["flood"].streams != maxStreams-300 {
		t.Errorf("%d streams: %+v, %+v", len(s.open), s.uses["shop"], s.uses["flood"])
	}

	// Bytes: a message that is said to be 65535 long, and never ends.
	s = Streams{}
	s.SetClients(clients)
	unfinished := append([]byte{0xff, 0xff}, make([]byte, 60_000)...)
	for i := range 200 {
		add(flood(i), 1000+i, 0, flagSYN, nil)
		add(flood(i), 1000+i, 1, 0, unfinished)
	}
	if s.buffered > maxTotal || s.buffered < maxTotal-len(unfinished) {
		t.Errorf("%d bytes are held", s.buffered)
	}
	message, got := append([]byte{0, 100}, make([]byte, 100)...), 0
	add(shop, 7, 0, flagSYN, nil)
	for i := 0; i < len(message); i += 2 {
		got += add(shop, 7, 1+uint32(i), 0, message[i:i+2])
	}
	if got != 1 {
		t.Errorf("a message in many parts is read %d times", got)
	}
	add(shop, 8, 0, flagSYN, nil)
	if add(shop, 8, 1, 0, append([]byte{0x27, 0x10}, make([]byte, 10_000)...)) != 1 {
		t.Error("a message of a namespace that has less is not read")
	}
	held := 0
	for _, st := range s.open {
		held += st.held
	}
	if held != s.buffered || s.uses["shop"].buffered+s.uses["flood"].buffered != held {
		t.Errorf("%d bytes are held, %d are counted", held, s.buffered)
	}
}
