package agent

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// notice is a notification as the kernel sends it.
func notice(t *testing.T, typ uint8, attr uint16, text string) nfnl.Message {
	t.Helper()
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, 0, unix.NFPROTO_INET)
	w.String(attr, text)
	w.End()
	var m nfnl.Message
	err := nfnl.ParseMessages(w.B, func(h nfnl.Header, body []byte) error {
		var err error
		m, err = nfnl.ParseMessage(h, body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestExternalChange(t *testing.T) {
	object := func(table string) nfnl.Message { return notice(t, unix.NFT_MSG_NEWRULE, attrTable, table) }
	end := func(command string) nfnl.Message {
		return notice(t, unix.NFT_MSG_NEWGEN, attrGenCommand, command)
	}
	for _, c := range []struct {
		name     string
		messages []nfnl.Message
		want     int
	}{
		{"our table, by another program", []nfnl.Message{object(nft.DefaultTable), end("nft")}, 1},
		{"our table among others", []nfnl.Message{object("other"), object(nft.DefaultTable), object("other"), end("nft")}, 1},
		{"our table, by us", []nfnl.Message{object(nft.DefaultTable), end("tierwall")}, 0},
		{"a table whose name begins like ours", []nfnl.Message{object(nft.DefaultTable + "-dns"), end("nft")}, 0},
		{"what we began is not what others end", []nfnl.Message{object(nft.DefaultTable), end("tierwall"), object("other"), end("nft")}, 0},
		{"each transaction by itself", []nfnl.Message{object(nft.DefaultTable), end("nft"), object(nft.DefaultTable), end("nft"), end("nft")}, 2},
		{"nothing at all", []nfnl.Message{end("nft")}, 0},
	} {
		w := externalChange{own: "tierwall"}
		got := 0
		for _, m := range c.messages {
			if w.take(m) {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d changes, want %d", c.name, got, c.want)
		}
	}
}
