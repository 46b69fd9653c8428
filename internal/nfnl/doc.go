// Package nfnl speaks nfnetlink, the kernel's protocol for nftables, connection
// tracking, queues and logs: messages and their attributes, requests, dumps and
// atomic batches (Conn), and what the kernel sends on its own account (Listener).
// It knows neither tables nor connections.
package nfnl
