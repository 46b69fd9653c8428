// Package nfnl speaks nfnetlink, the kernel's protocol for nftables and
// connection tracking: messages and their attributes, requests, dumps and
// atomic batches. It knows neither tables nor connections.
package nfnl
