// Package command is what all commands share: exit codes, errors of usage, and whether
// kubectl runs them.
package command

import "errors"

// Exit codes that mean the same for every command. What else a command
// returns, its help says.
const (
	ExitOK     = 0
	ExitNo     = 1 // a clear answer, and it is no: denied, findings, disagreement
	ExitFailed = 2 // no answer: wrong usage, unreadable input, a failure
)

// exitError is an error with the exit code that it ends the process with. A
// nil err is an exit code without a message: the command has said all there is.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// ExitWith ends a command, returned from its RunE, with an exit code. The error
// is printed once, by Run, as "Error: ..."; with a nil error nothing is printed.
// ExitWith(0, nil) is nil. Errors returned without it exit with 2.
func ExitWith(code int, err error) error {
	if code == ExitOK && err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// ExitCode returns the code that an error returned by a command stands for.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if coded, ok := errors.AsType[*exitError](err); ok {
		return coded.code
	}
	return ExitFailed
}
