package httpdocs

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	upstreamsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	mesh "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
)

const (
	page   = "../../docs/http.md"
	socket = "/run/tierwall-authz/authz.sock" // as the page's own flags have it
)

// TestEnvoy checks that what the page tells Envoy is something that Envoy accepts,
// and that what is judged is what happens.
func TestEnvoy(t *testing.T) {
	var seen int
	for _, b := range blocks(t, "Envoy") {
		envoy, err := Envoy(b.Text)
		if err != nil {
			t.Fatalf("%s:%d: %v", page, b.Line, err)
		}
		seen++
		checkEnvoy(t, envoy)
	}
	if seen != 1 {
		t.Errorf("%d configurations of Envoy, want 1", seen)
	}
}

func checkEnvoy(t *testing.T, envoy *bootstrapv3.Bootstrap) {
	clusters := map[string]*clusterv3.Cluster{}
	for _, c := range envoy.GetStaticResources().GetClusters() {
		clusters[c.GetName()] = c
		if c.GetName() != c.GetLoadAssignment().GetClusterName() {
			t.Errorf("cluster %s has the endpoints of %q", c.GetName(), c.GetLoadAssignment().GetClusterName())
		}
	}
	for _, l := range envoy.GetStaticResources().GetListeners() {
		hcm := unpack[*hcmv3.HttpConnectionManager](t, l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig())
		if !hcm.GetNormalizePath().GetValue() || !hcm.GetMergeSlashes() || !hcm.GetUseRemoteAddress().GetValue() ||
			hcm.GetPathWithEscapedSlashesAction() != hcmv3.HttpConnectionManager_REJECT_REQUEST || len(hcm.GetUpgradeConfigs()) != 0 {
			t.Errorf("listener %s: paths are not normalized, or the client says who it is", l.GetName())
		}
		filters := hcm.GetHttpFilters()
		if len(filters) != 2 || filters[1].GetName() != "envoy.filters.http.router" {
			t.Fatalf("listener %s: filters %v", l.GetName(), filters)
		}
		authz := unpack[*extauthzv3.ExtAuthz](t, filters[0].GetTypedConfig())
		service := authz.GetGrpcService()
		if authz.GetFailureModeAllow() || authz.GetWithRequestBody() != nil || authz.GetFilterEnabled() != nil {
			t.Error("requests may pass without an answer, or their bodies are sent")
		}
		if d := service.GetTimeout().AsDuration(); d <= 0 || d > time.Second {
			t.Errorf("an answer is waited for %v", d)
		}
		checkAgent(t, clusters[service.GetEnvoyGrpc().GetClusterName()])
		for _, host := range hcm.GetRouteConfig().GetVirtualHosts() {
			if len(host.GetTypedPerFilterConfig()) != 0 {
				t.Errorf("host %s changes filters", host.GetName())
			}
			for _, r := range host.GetRoutes() {
				checkRoute(t, r, clusters)
			}
		}
	}
}

// checkAgent checks the way to the agent: HTTP/2 over the socket.
func checkAgent(t *testing.T, c *clusterv3.Cluster) {
	const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	at := c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress()
	if at.GetPipe().GetPath() != socket {
		t.Errorf("the agent is at %v, want %s", at, socket)
	}
	if unpack[*upstreamsv3.HttpProtocolOptions](t, c.GetTypedExtensionProtocolOptions()[options]).GetExplicitHttpConfig().GetHttp2ProtocolOptions() == nil {
		t.Error("the agent is not asked by HTTP/2")
	}
}

// checkRoute checks that the path that was judged goes to a server on loopback.
func checkRoute(t *testing.T, r *routev3.Route, clusters map[string]*clusterv3.Cluster) {
	action := r.GetRoute()
	if action.GetPrefixRewrite() != "" || action.GetRegexRewrite() != nil || action.GetPathRewritePolicy() != nil || len(r.GetTypedPerFilterConfig()) != 0 {
		t.Errorf("route %v changes the path, or filters", r)
	}
	at := clusters[action.GetCluster()].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
	if at.GetAddress() != "127.0.0.1" {
		t.Errorf("the server is at %v, where others reach it", at)
	}
}

// TestIstio does the same for Istio.
func TestIstio(t *testing.T) {
	var entry *networking.ServiceEntry
	var entryName, provider string
	var providers []*mesh.MeshConfig_ExtensionProvider
	var sidecarHosts []string
	for _, b := range blocks(t, "Istio") {
		var err error
		var objects []Object
		switch {
		case strings.HasPrefix(b.Text, "extensionProviders:"):
			var m *mesh.MeshConfig
			if m, err = MeshConfig(b.Text); err == nil {
				providers = m.GetExtensionProviders()
				if n := m.GetPathNormalization().GetNormalization(); n != mesh.MeshConfig_ProxyPathNormalization_MERGE_SLASHES {
					t.Errorf("paths are normalized by %v", n)
				}
			}
		case strings.HasPrefix(b.Text, "metadata:"):
			var notes map[string]string
			if notes, err = Annotations(b.Text); err == nil {
				checkMounts(t, notes)
			}
		default:
			objects, err = Objects(b.Text)
		}
		if err != nil {
			t.Fatalf("%s:%d: %v", page, b.Line, err)
		}
		for _, o := range objects {
			switch spec := o.Spec.(type) {
			case *networking.ServiceEntry:
				entry, entryName = spec, o.Metadata.Namespace+"/"+spec.GetHosts()[0]
			case *networking.Sidecar:
				sidecarHosts = spec.GetEgress()[0].GetHosts()
			case *security.AuthorizationPolicy:
				provider = spec.GetProvider().GetName()
				if spec.GetAction() != security.AuthorizationPolicy_CUSTOM || len(spec.GetRules()) != 1 || !proto.Equal(spec.GetRules()[0], &security.Rule{}) {
					t.Errorf("not every request is asked about: %v", spec)
				}
			}
		}
	}
	if entry.GetEndpoints()[0].GetAddress() != "unix://"+socket || len(entry.GetPorts()) != 1 || len(entry.GetEndpoints()[0].GetPorts()) != 0 ||
		entry.GetResolution() != networking.ServiceEntry_STATIC || entry.GetLocation() != networking.ServiceEntry_MESH_EXTERNAL || entry.GetPorts()[0].GetProtocol() != "GRPC" {
		t.Errorf("a service that is no socket: %v", entry)
	}
	if len(providers) != 1 || providers[0].GetName() != provider {
		t.Fatalf("provider %q is not that of %v", provider, providers)
	}
	authz := providers[0].GetEnvoyExtAuthzGrpc()
	if authz.GetService() != entryName || authz.GetPort() != entry.GetPorts()[0].GetNumber() || !slices.Contains(sidecarHosts, entryName) {
		t.Errorf("the provider is %v, sidecars know %q, and the service is %s", authz, sidecarHosts, entryName)
	}
	if d := authz.GetTimeout().AsDuration(); authz.GetFailOpen() || authz.GetIncludeRequestBodyInCheck() != nil || d <= 0 || d > time.Second {
		t.Errorf("requests may pass without an answer, wait for long, or are sent with their body: %v", authz)
	}
}

// checkMounts checks that the annotations mount the folder of the socket, by the
// name that each volume has.
func checkMounts(t *testing.T, notes map[string]string) {
	var volumes map[string]struct {
		HostPath struct{ Path, Type string }
	}
	var mounts map[string]struct {
		MountPath string
		ReadOnly  bool
	}
	for name, into := range map[string]any{"sidecar.istio.io/userVolume": &volumes, "sidecar.istio.io/userVolumeMount": &mounts} {
		if err := strictJSON([]byte(notes[name]), into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	folder := socket[:strings.LastIndexByte(socket, '/')]
	for name := range maps.Keys(volumes) {
		if volumes[name].HostPath.Path != folder || mounts[name].MountPath != folder || !mounts[name].ReadOnly {
			t.Errorf("volume %s is not %s: %v, %v", name, folder, volumes, mounts)
		}
	}
	if len(volumes) != 1 || len(mounts) != 1 {
		t.Errorf("volumes %v, mounts %v", volumes, mounts)
	}
}

// TestEveryBlockIsKnown checks that no block escapes: elsewhere on the page are
// rules, flags and output only.
func TestEveryBlockIsKnown(t *testing.T) {
	all, err := Blocks(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if strings.Contains(b.Text, "apiVersion:") && b.Heading != "Istio" || strings.Contains(b.Text, "static_resources:") && b.Heading != "Envoy" {
			t.Errorf("%s:%d: under %q nobody checks it", page, b.Line, b.Heading)
		}
	}
}

// TestWrongOnes checks that mistakes are found.
func TestWrongOnes(t *testing.T) {
	right := blocks(t, "Envoy")[0].Text
	for _, change := range [][2]string{
		{"merge_slashes", "merge_slash"},
		{"REJECT_REQUEST", "REJECT"},
		{"v3.ExtAuthz", "v3.ExtAuth"},
		{"failure_mode_allow: false", "failure_mode_allow: 0"},
		{"port_value: 8080", "port_value: 80800"},
		{"stat_prefix: inbound", "stat_prefix: ''"},
		{"cluster_name: tierwall}", "cluster_name: ''}"},
		{"  clusters:", "  cluster:"},
	} {
		wrong := strings.Replace(right, change[0], change[1], 1)
		if _, err := Envoy(wrong); err == nil || wrong == right {
			t.Errorf("%q in place of %q is not found", change[1], change[0])
		}
	}
	for _, text := range []string{
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {host: [a]}\n",
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntrie\nmetadata: {name: a}\nspec: {}\n",
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {nam: a}\nspec: {}\n",
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nkind: ServiceEntry\nspec: {}\n",
	} {
		if _, err := Objects(text); err == nil {
			t.Errorf("no mistake in\n%s", text)
		}
	}
	if _, err := MeshConfig("pathNormalisation: {}\n"); err == nil {
		t.Error("a field that the mesh configuration does not have")
	}
}

func blocks(t *testing.T, heading string) []Block {
	t.Helper()
	all, err := Blocks(page)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(b Block) bool { return b.Heading != heading })
	if len(all) == 0 {
		t.Fatalf("%s has no block under %q", page, heading)
	}
	return all
}

func unpack[M proto.Message](t *testing.T, a *anypb.Any) M {
	t.Helper()
	m, err := a.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	typed, ok := m.(M)
	if !ok {
		t.Fatalf("it is %T", m)
	}
	return typed
}
