// Package analyze answers questions about a whole policy model at once. Its
// answers are exact: they are computed over classes of addresses and regions of
// protocols and ports, as package engine makes them, and never by sampling.
package analyze
