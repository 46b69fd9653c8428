package dns

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Streams puts the messages together that servers send over TCP, each with its
// length before it. It sees one direction only. Its memory is bounded: in what it
// has no room for, no messages are found. Where there is none left, it is taken from
// the namespace that has most for those that have less. The zero value is ready.
type Streams struct {
	open     map[streamKey]*stream
	buffered int                      // bytes
	of       map[netip.Addr]string    // the namespaces of clients
	uses     map[string]*streamsShare // by namespace
	limited  uint64
}

// streamsShare is what a namespace has of the room.
type streamsShare struct{ streams, buffered int }

type streamKey struct{ server, client netip.AddrPort }

// stream is one connection, from its beginning on: who has not seen that does not
// know where messages begin.
type stream struct {
	use       *streamsShare
	namespace string
	held      int    // bytes, of buf and early
	next      uint32 // the sequence number of what comes next
	buf       []byte // of a message that is not whole yet
	early     []segment
	seen      time.Time
	ended     bool
	// generation is the latest of what its messages have brought.
	generation uint64
}

// segment is what came before something that it follows.
type segment struct {
	seq  uint32
	data []byte
}

const (
	maxStreams  = 1024
	maxTotal    = 8 << 20 // bytes, of all streams
	maxBuffered = 2 + 1<<16
	maxEarly    = 16 // segments
	streamIdle  = 30 * time.Second
)

// Add takes in a packet and hands out the messages that are whole with it, which are
// valid until the next packet. message gives the generation of what the message
// brings, and Add that which has to be in force before the packet may go: a server
// that gets no acknowledgement sends the end of a message again, while the first copy
// waits, and that one must not pass before it.
func (s *Streams) Add(p *Packet, now time.Time, message func([]byte) uint64) (generation uint64) {
	key := streamKey{netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)}
	st := s.open[key]
	if p.Flags&flagSYN != 0 {
		s.drop(key)
		if st = s.begin(key, now); st == nil {
			return 0
		}
		st.next = p.Seq + 1
		return 0
	}
	if st == nil {
		return 0
	}
	st.seen = now
	if len(p.Payload) > 0 && !st.ended {
		st.ended = !s.take(st, p.Seq, p.Payload, func(msg []byte) { st.generation = max(st.generation, message(msg)) })
	}
	if st.ended = st.ended || p.Flags&(flagFIN|flagRST) != 0; st.ended {
		s.empty(st)
	}
	if len(p.Payload) == 0 {
		return 0
	}
	return st.generation
}

// begin makes room for a stream, if need be by dropping those that are idle or have
// ended.
func (s *Streams) begin(key streamKey, now time.Time) *stream {
	if s.open == nil {
		s.open = map[streamKey]*stream{}
	}
	namespace := s.of[key.client.Addr()]
	if len(s.open) >= maxStreams {
		for k, st := range s.open {
			if st.ended || now.Sub(st.seen) > streamIdle {
				s.drop(k)
			}
		}
		mine := 0
		if u := s.uses[namespace]; u != nil {
			mine = u.streams
		}
		idleMost := func(a, b *stream) bool { return a.seen.Before(b.seen) }
		if len(s.open) >= maxStreams && !s.takeFrom(func(u *streamsShare) int { return u.streams }, mine+1, idleMost) {
			return nil
		}
	}
	if s.uses == nil {
		s.uses = map[string]*streamsShare{}
	}
	u := s.uses[namespace]
	if u == nil {
		u = &streamsShare{}
		s.uses[namespace] = u
	}
	u.streams++
	st := &stream{seen: now, use: u, namespace: namespace}
	s.open[key] = st
	return st
}

// takeFrom drops a stream of the namespace that has most of something, if that is more
// than a limit, and reports whether it did: of its streams the one that goes first.
func (s *Streams) takeFrom(of func(*streamsShare) int, limit int, first func(a, b *stream) bool) bool {
	s.limited++
	var most *streamsShare
	for _, u := range s.uses {
		if most == nil || of(u) > of(most) {
			most = u
		}
	}
	if most == nil || of(most) <= limit {
		return false
	}
	var key streamKey
	var victim *stream
	for k, st := range s.open {
		if st.use == most && (victim == nil || first(st, victim)) {
			key, victim = k, st
		}
	}
	s.drop(key)
	return true
}

// SetClients says to which namespaces the endpoints belong that get answers, by their
// addresses. Streams keeps the map.
func (s *Streams) SetClients(namespaces map[netip.Addr]string) { s.of = namespaces }

// Limited returns how many streams were dropped, or not followed, for want of room.
func (s *Streams) Limited() uint64 { return s.limited }

// fits reports whether there is room for some bytes more of a stream. It may take the
// room from another namespace.
func (s *Streams) fits(st *stream, n int) bool {
	for s.buffered+n > maxTotal {
		most := func(a, b *stream) bool { return a.held > b.held }
		if !s.takeFrom(func(u *streamsShare) int { return u.buffered }, st.use.buffered+n, most) {
			return false
		}
	}
	return true
}

// buffer counts bytes that a stream holds more, or less.
func (s *Streams) buffer(st *stream, n int) {
	s.buffered += n
	st.held += n
	st.use.buffered += n
}

func (s *Streams) drop(key streamKey) {
	st := s.open[key]
	if st == nil {
		return
	}
	s.empty(st)
	delete(s.open, key)
	if st.use.streams--; st.use.streams == 0 {
		delete(s.uses, st.namespace)
	}
}

// empty gives up what a stream holds of messages that are not whole.
func (s *Streams) empty(st *stream) {
	s.buffer(st, -len(st.buf))
	for _, e := range st.early {
		s.buffer(st, -len(e.data))
	}
	st.buf, st.early = nil, nil
}

// take takes in what comes at a sequence number; false if the stream is given up.
func (s *Streams) take(st *stream, seq uint32, data []byte, message func([]byte)) bool {
	switch ahead := int32(seq - st.next); {
	case ahead > 0:
		if len(st.early) >= maxEarly || !s.fits(st, len(data)) {
			return false
		}
		st.early = append(st.early, segment{seq, append([]byte(nil), data...)})
		s.buffer(st, len(data))
		return true
	case ahead < 0:
		again := -int64(ahead)
		if again >= int64(len(data)) {
			return true
		}
		data = data[again:]
	}
	if !s.append(st, data, message) {
		return false
	}
	for i := range st.early {
		if e := st.early[i]; int32(e.seq-st.next) <= 0 {
			st.early = append(st.early[:i], st.early[i+1:]...)
			s.buffer(st, -len(e.data))
			return s.take(st, e.seq, e.data, message)
		}
	}
	return true
}

// append goes on in a stream.
func (s *Streams) append(st *stream, data []byte, message func([]byte)) bool {
	st.next += uint32(len(data)) //nolint:gosec // of one packet
	if !s.fits(st, len(data)) {
		return false
	}
	s.buffer(st, len(data))
	st.buf = append(st.buf, data...)
	rest := st.buf
	for len(rest) >= 2 {
		n := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < n {
			break
		}
		message(rest[2:n])
		rest = rest[n:]
	}
	s.buffer(st, len(rest)-len(st.buf))
	st.buf = append(st.buf[:0], rest...)
	return len(rest) < maxBuffered
}
