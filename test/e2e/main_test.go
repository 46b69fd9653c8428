package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.EndShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	stage.AtExit()
	os.Exit(code)
}
