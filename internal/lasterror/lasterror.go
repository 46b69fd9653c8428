// Package lasterror keeps why something that is tried again and again does not work, so that
// the log is told when that changes and not at each try.
package lasterror

// Error is the outcome of the last try. The zero value is that nothing has failed. It is guarded by
// whoever has it.
type Error struct{ text string }

// Set notes how a try went. Began says that it failed and the one before did not, changed that it failed
// for another reason than the one before, or began to; ended that it went well and the one before did not.
func (e *Error) Set(err error) (began, changed, ended bool) {
	before := e.text
	e.text = ""
	if err != nil {
		e.text = err.Error()
	}
	return before == "" && err != nil, err != nil && before != e.text, before != "" && err == nil
}

// String returns why the last try failed; "" if it did not.
func (e *Error) String() string { return e.text }
