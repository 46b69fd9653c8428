package lasterror

import (
	"errors"
	"testing"
)

func TestSet(t *testing.T) {
	var e Error
	one, other := errors.New("one"), errors.New("other")
	for i, tt := range []struct {
		err                   error
		began, changed, ended bool
	}{
		{nil, false, false, false},
		{one, true, true, false},
		{one, false, false, false},
		{other, false, true, false},
		{nil, false, false, true},
		{nil, false, false, false},
		{one, true, true, false},
	} {
		began, changed, ended := e.Set(tt.err)
		if began != tt.began || changed != tt.changed || ended != tt.ended {
			t.Errorf("try %d (%v): began %v, changed %v, ended %v", i, tt.err, began, changed, ended)
		}
		if tt.err == nil && e.String() != "" || tt.err != nil && e.String() != tt.err.Error() {
			t.Errorf("try %d: it is %q", i, e.String())
		}
	}
}
