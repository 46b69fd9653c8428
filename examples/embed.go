// Package examples carries the example clusters in the binary, for the demo.
package examples

import "embed"

// FS holds one folder per scenario, as they are in this directory.
//
//go:embed */*.yaml */README.md
var FS embed.FS
