package flags

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/policy"
)

// EndpointToHost is --endpoint-to-host.
type EndpointToHost struct {
	toHost string

	endpointToHost policy.Action // parsed
}

// Register adds the flag.
func (o *EndpointToHost) Register(f *pflag.FlagSet) {
	f.StringVar(&o.toHost, "endpoint-to-host", "Accept", "what agents do with connections of pods to their own host: Accept, Drop or Return")
}

// Parse reads the flag.
func (o *EndpointToHost) Parse() error {
	switch strings.ToLower(o.toHost) {
	case "accept":
		o.endpointToHost = policy.Allow
	case "drop":
		o.endpointToHost = policy.Deny
	case "return":
		o.endpointToHost = policy.Pass
	default:
		return fmt.Errorf("--endpoint-to-host %s: expected Accept, Drop or Return", o.toHost)
	}
	return nil
}

// InModel returns the model with what agents have by their flags.
func (o *EndpointToHost) InModel(m *policy.Model) *policy.Model {
	v := *m
	v.Host.FailsafeIn, v.Host.FailsafeOut = policy.DefaultFailsafes()
	v.Host.EndpointToHost = o.endpointToHost
	return &v
}
