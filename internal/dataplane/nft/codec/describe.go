package codec

import (
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// messageNames say what a message would have done.
var messageNames = map[uint8]string{
	unix.NFT_MSG_NEWTABLE: "adding the table", unix.NFT_MSG_DELTABLE: "deleting the table",
	unix.NFT_MSG_NEWCHAIN: "adding chain", unix.NFT_MSG_DELCHAIN: "deleting chain",
	unix.NFT_MSG_NEWRULE: "adding a rule to chain", unix.NFT_MSG_DELRULE: "deleting the rules of chain",
	unix.NFT_MSG_NEWSET: "adding set", unix.NFT_MSG_DELSET: "deleting set",
	unix.NFT_MSG_NEWSETELEM: "adding elements to set", unix.NFT_MSG_DELSETELEM: "deleting elements of set",
}

// Describe says what the message of a number in a batch was for. The batch's
// first message stands for the batch as a whole.
func Describe(batch []byte, seq uint32) string {
	text := "the batch"
	_ = nfnl.ParseMessages(batch, func(h nfnl.Header, body []byte) error {
		m, err := nfnl.ParseMessage(h, body)
		if err != nil || h.Seq != seq || h.Type>>8 != unix.NFNL_SUBSYS_NFTABLES {
			return nil
		}
		if name, ok := messageNames[m.Type]; ok {
			text = name
		}
		switch m.Type {
		case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE:
		case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
			text += " " + m.Attrs.Get(unix.NFTA_CHAIN_NAME).String()
		default: // the second attribute of all others is the name
			text += " " + m.Attrs.Get(unix.NFTA_SET_NAME).String()
		}
		return nil
	})
	return text
}
