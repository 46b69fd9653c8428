// Command generate writes what is generated from the Go types of the APIs: the
// CustomResourceDefinitions and the copying of objects.
//
// It is controller-gen with one marker more (see schema.go).
//
//	go run -C tools ./generate
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := Write(".."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
