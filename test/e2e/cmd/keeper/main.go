// Command keeper is the first process of what test clusters are made of.
//
//	keeper                 holds a pod's namespaces (the sandbox image)
//	keeper host DIR        makes and holds a node's namespaces
//	keeper janitor DIR     removes a cluster when whoever started it is gone
package main

import (
	"fmt"
	"os"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == keeper.HostMode:
		err = keeper.RunHost()
	case len(os.Args) == 3 && os.Args[1] == keeper.JanitorMode:
		err = keeper.RunJanitor(os.Args[2])
	default:
		keeper.RunPause()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
