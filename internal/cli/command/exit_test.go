package command

import (
	"errors"
	"fmt"
	"testing"
)

func TestExitCode(t *testing.T) {
	tests := map[int]error{
		ExitOK:     nil,
		ExitFailed: errors.New("any"),
		ExitNo:     ExitWith(ExitNo, nil),
		7:          fmt.Errorf("wrapped: %w", ExitWith(7, errors.New("any"))),
	}
	for want, err := range tests {
		if got := ExitCode(err); got != want {
			t.Errorf("exit code %d for %v, want %d", got, err, want)
		}
	}
	if err := ExitWith(ExitOK, nil); err != nil {
		t.Errorf("exitWith(0, nil) = %v, want nil", err)
	}
}
