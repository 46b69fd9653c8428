// Package codec is the kernel's nftables as values: expressions, rules, chains, sets and
// elements; batches of changes, written in an order that the kernel accepts; and the same
// read back. What is read and was not written by these means is an error, so that whoever
// decides by what was read passes over nothing. It knows no policy and no layout: which
// tables, chains and sets there are is for package nft.
package codec
