package agent

import (
	"github.com/tierwall/tierwall/internal/agent/authz"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/agent/nodereport"
	"github.com/tierwall/tierwall/internal/agent/packetlog"
)

// What the command line needs of components.
type (
	// AuthzStatus is a field of Status.
	AuthzStatus = authz.Status
	// DNS is a field of Config.
	DNS = dnslearner.Config
	// DNSStatus is a field of Status.
	DNSStatus = dnslearner.Status
	// Learned is what /dns serves.
	Learned = dnslearner.Learned
	// LearnedName is what /dns serves of one name.
	LearnedName = dnslearner.LearnedName
	// LearnedAddress is what /dns serves of one address.
	LearnedAddress = dnslearner.LearnedAddress
)

// DefaultLogGroup is the NFLOG group of packets that rules with action Log match.
const DefaultLogGroup = packetlog.DefaultGroup

// DefaultDNSService is the name that clusters give to their DNS service.
var DefaultDNSService = dnslearner.DefaultService

var (
	// OpenPacketLog returns what Config.PacketLog can be.
	OpenPacketLog = packetlog.Open
	// KubeReports returns what Config.Report can be.
	KubeReports = nodereport.ToCluster
)
