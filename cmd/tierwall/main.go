// Command tierwall decides who may talk to whom, makes the kernel obey, and
// says why.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tierwall/tierwall/internal/cli"
	_ "github.com/tierwall/tierwall/internal/cni/early" // as a CNI plugin the program ends there
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for an orderly end; from then on a second one kills.
	context.AfterFunc(ctx, stop)
	return cli.RunAs(ctx, os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
