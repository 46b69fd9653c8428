// Package sctp stands in for github.com/ishidawataru/sctp, in the agnhost of test
// clusters: kernels often have no SCTP sockets, but every kernel with connection
// tracking knows SCTP packets. It is an endpoint of RFC 9260 in user space, on raw
// sockets (CAP_NET_RAW), with what agnhost uses: one stream each way, one message
// under way at a time, no multihoming and no congestion control. On the wire it is SCTP, so
// NAT, connection tracking and policy see what they would see of the kernel's.
package sctp
