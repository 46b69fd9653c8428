package agentcmd

import (
	"fmt"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent/authz"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/extauthz"
)

// authzFlags say where proxies ask about requests.
type authzFlags struct {
	address, group, cert, key, clientCA string
}

func (o *authzFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.address, "ext-authz", "", "answer proxies about HTTP requests (Envoy's ext_authz, gRPC) at unix:PATH or ADDRESS:PORT")
	f.StringVar(&o.group, "ext-authz-group", "", "group, by name or number, that may open the unix socket, as root may")
	f.StringVar(&o.cert, "ext-authz-cert", "", "certificate for TLS (PEM); needed, with --ext-authz-key and --ext-authz-client-ca, unless --ext-authz is a unix socket or a loopback address")
	f.StringVar(&o.key, "ext-authz-key", "", "private key of --ext-authz-cert (PEM)")
	f.StringVar(&o.clientCA, "ext-authz-client-ca", "", "certificate authorities (PEM): only proxies with a certificate of theirs are answered")
}

// config returns what the flags say; nil without any.
func (o *authzFlags) config(cmd *cobra.Command) (*extauthz.Config, error) {
	if *o == (authzFlags{}) {
		return nil, nil
	}
	cfg := &extauthz.Config{Address: o.address, Group: -1, CertFile: o.cert, KeyFile: o.key, ClientCA: o.clientCA}
	if o.address == "" {
		return nil, command.UsageError(cmd, fmt.Errorf("--ext-authz-group, -cert, -key and -client-ca need --ext-authz"))
	}
	if o.group != "" {
		id, err := groupID(o.group)
		if err != nil {
			return nil, command.UsageError(cmd, fmt.Errorf("--ext-authz-group: %w", err))
		}
		cfg.Group = id
	}
	if err := cfg.Check(); err != nil {
		return nil, command.UsageError(cmd, err)
	}
	return cfg, nil
}

// groupID returns the number of a group.
func groupID(name string) (int, error) {
	if id, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a group of this host nor a number", name)
	}
	return strconv.Atoi(g.Gid)
}

// authzLine sums up what proxies were answered.
func authzLine(st *authz.Status) [2]string {
	return [2]string{"ext_authz", fmt.Sprintf("%s: %d allowed, %d denied, %d refused", st.Address, st.Allowed, st.Denied, st.Refused)}
}
