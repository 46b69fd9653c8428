package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// maxLine bounds what a server reads and a client sends at once.
const maxLine = 8 << 10

// answer is what a server says to a request: who it is, whom it sees, and the
// request again.
func (s *server) answer(source netip.AddrPort, request string) string {
	return fmt.Sprintf("%s %s %s", s.host.name, source, request)
}

// parseAnswer reads an answer to the request; ok is false if it is none.
func parseAnswer(answer, request string) (server string, source netip.AddrPort, ok bool) {
	fields := strings.SplitN(strings.TrimRight(answer, "\r\n"), " ", 3)
	if len(fields) != 3 || fields[2] != request {
		return "", netip.AddrPort{}, false
	}
	source, err := netip.ParseAddrPort(fields[1])
	return fields[0], source, err == nil
}

// accept serves a TCP listener until it is closed.
func (s *server) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.run(conn, func() { s.answerLines(conn) })
		}
	}
}

// answerLines serves one TCP connection.
func (s *server) answerLines(conn net.Conn) {
	source := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	in := bufio.NewReaderSize(conn, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		request := strings.TrimRight(string(line), "\r\n")
		if method, rest, _ := strings.Cut(request, " "); method == "GET" || method == "HEAD" {
			path, _, _ := strings.Cut(rest, " ")
			s.answerHTTP(conn, in, method, s.answer(source, path))
			return
		}
		if _, err := fmt.Fprintln(conn, s.answer(source, request)); err != nil {
			return
		}
	}
}

// answerHTTP answers one HTTP request, whose first line has been read, and ends
// the connection.
func (s *server) answerHTTP(conn net.Conn, in *bufio.Reader, method, body string) {
	for {
		header, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(bytes.TrimSpace(header)) == 0 {
			break
		}
	}
	body += "\n"
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(body))
	if method == "HEAD" {
		body = ""
	}
	_, _ = conn.Write([]byte(head + body)) // the client may have gone: its business
}

// answerUDP serves a UDP socket until it is closed.
func (s *server) answerUDP(conn *net.UDPConn) {
	packet, control := make([]byte, maxLine), make([]byte, 128)
	for {
		n, cn, _, source, err := conn.ReadMsgUDPAddrPort(packet, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		answer := s.answer(source, string(packet[:n]))
		// An answer that policy drops is an error here. The client will notice.
		_, _, _ = conn.WriteMsgUDPAddrPort([]byte(answer), answerFrom(control[:cn]), source)
	}
}

// answerRaw serves a raw socket until it is closed. The function gives the
// answer to a packet, nil if it deserves none.
func (s *server) answerRaw(conn *net.IPConn, is4 bool, answer func(packet []byte, source netip.Addr) []byte) {
	packet, control := make([]byte, maxLine), make([]byte, 128)
	for {
		n, cn, _, source, err := conn.ReadMsgIP(packet, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		payload := packet[:n]
		if is4 { // such sockets give the header as well
			payload = payload[min(n, int(payload[0]&0x0f)*4):]
		}
		from, _ := netip.AddrFromSlice(source.IP)
		if a := answer(payload, from.Unmap()); a != nil {
			_, _, _ = conn.WriteMsgIP(a, answerFrom(control[:cn]), source)
		}
	}
}

// rawPrefix keeps kernels from taking a packet of a raw protocol for what that
// protocol usually carries.
const rawPrefix = "\x00\x00\x00\x00\x00\x00\x00\x00"

// A raw socket gets every packet of its protocol, so that packets say what they
// are: otherwise two servers would answer each other for ever.
const (
	rawRequest = rawPrefix + "?"
	rawReply   = rawPrefix + "!"
)

func (s *server) rawAnswer(packet []byte, source netip.Addr) []byte {
	request, ok := strings.CutPrefix(string(packet), rawRequest)
	if !ok {
		return nil
	}
	return []byte(rawReply + s.answer(netip.AddrPortFrom(source, 0), request))
}
