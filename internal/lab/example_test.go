package lab_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

func Example() {
	if err := lab.Enter(); err != nil { // first of all in main or TestMain
		fmt.Println(err)
		return
	}
	l, err := lab.New(lab.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close() //nolint:errcheck // an example
	for name, addr := range map[string]string{"web": "10.0.1.1", "db": "10.0.1.2"} {
		_, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	outcome := l.Probe(context.Background(), policy.Flow{
		Src: l.Host("web").Addr4(), Dst: l.Host("db").Addr4(), Protocol: policy.TCP, DstPort: 5432,
	}, 0)
	fmt.Println(outcome.Verdict, outcome.Server) // allowed db
}
