package flags

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// EndpointToHost is --endpoint-to-host.
type EndpointToHost struct {
	toHost string

	endpointToHost policy.Action // parsed
}

var endpointToHostValues = []string{"Accept", "Drop", "Return"}

// Register adds the flag.
func (o *EndpointToHost) Register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.toHost, "endpoint-to-host", "Accept", "what agents do with connections of pods to their own host that the pods' policies allow: Accept, Drop or Return")
	CompleteEndpointToHost(cmd)
}

// CompleteEndpointToHost has shells complete the flag.
func CompleteEndpointToHost(cmd *cobra.Command) {
	Complete(cmd, "endpoint-to-host", endpointToHostValues...)
}

// Parse reads the flag.
func (o *EndpointToHost) Parse() (err error) {
	o.endpointToHost, err = ParseEndpointToHost(o.toHost)
	return err
}

// ParseEndpointToHost reads the value of --endpoint-to-host, in whatever case.
func ParseEndpointToHost(text string) (policy.Action, error) {
	switch strings.ToLower(text) {
	case "accept":
		return policy.Allow, nil
	case "drop":
		return policy.Deny, nil
	case "return":
		return policy.Pass, nil
	}
	return policy.Pass, fmt.Errorf("--endpoint-to-host %s: expected %s", text, suggest.OrList(endpointToHostValues))
}

// InModel returns the model with what agents have by their flags.
func (o *EndpointToHost) InModel(m *policy.Model) *policy.Model {
	v := *m
	v.Host.FailsafeIn, v.Host.FailsafeOut = policy.DefaultFailsafes()
	v.Host.EndpointToHost = o.endpointToHost
	return &v
}
