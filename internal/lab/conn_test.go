package lab

import (
	"testing"
	"time"
)

func TestConnLivesAndIsCut(t *testing.T) {
	l := world(t)
	for _, text := range []string{
		"10.0.1.1 -> 10.0.1.2 TCP 80", "fd00:1::1 -> fd00:1::2 TCP 80", "198.51.100.1 -> 10.0.1.2 UDP 53",
	} {
		c, err := l.Open(t.Context(), flow(t, text), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // the test is over
		if c.Flow().SrcPort == 0 {
			t.Errorf("%s: no source port", c)
		}
		for range 3 {
			if err := c.Exchange(0); err != nil {
				t.Error(err)
			}
		}
		open := dropAll(t, l)
		if err := c.Exchange(100 * time.Millisecond); !IsSilence(err) {
			t.Errorf("%s: got %v, want silence", text, err)
		}
		open()
		// TCP repeats what was lost, with growing pauses.
		if err := c.Exchange(5 * time.Second); err != nil {
			t.Errorf("after the wall: %v", err)
		}
	}
	if _, err := l.Open(t.Context(), flow(t, "10.0.1.1 -> 10.0.1.2 ICMP"), 0); err == nil {
		t.Error("ICMP was opened")
	}
	defer dropAll(t, l)()
	if _, err := l.Open(t.Context(), flow(t, "10.0.1.1 -> 10.0.1.2 TCP 80"), 0); !IsSilence(err) {
		t.Errorf("got %v, want silence", err)
	}
}
