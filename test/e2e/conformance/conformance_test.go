//go:build conformance

package conformance

import (
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	report "sigs.k8s.io/network-policy-api/conformance/apis/v1alpha1"
	upstream "sigs.k8s.io/network-policy-api/conformance/tests"
	"sigs.k8s.io/network-policy-api/conformance/utils/config"
	"sigs.k8s.io/network-policy-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

// TestSuite runs all tests, standard and experimental, on the cluster of $KUBECONFIG, and
// writes the suite's report into the file $CONFORMANCE_REPORT.
func TestSuite(t *testing.T) {
	log.SetLogger(logr.Discard())
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	cl, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v1alpha2.Install(cl.Scheme()); err != nil {
		t.Fatal(err)
	}
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := suite.NewConformanceProfileTestSuite(suite.ConformanceProfileOptions{
		Options: suite.Options{
			Client: cl, ClientSet: clients, KubeConfig: *cfg,
			CleanupBaseResources: true, SupportedFeatures: suite.AllFeatures.Clone(),
			// What is denied takes the suite twice the first of these, and a hundred things are.
			TimeoutConfig: config.TimeoutConfig{RequestTimeout: time.Second, PokeTimeout: time.Minute},
		},
		Implementation: report.Implementation{
			Organization: "tierwall", Project: "tierwall", URL: "https://github.com/tierwall/tierwall", Version: "dev",
			Contact: []string{"https://github.com/tierwall"},
		},
		ConformanceProfiles: sets.New(suite.CNPConformanceProfileName),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Setup(t)
	if err := s.Run(t, upstream.ConformanceTests); err != nil {
		t.Fatal(err)
	}
	r, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("CONFORMANCE_REPORT"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("the suite's report:\n%s", text)
}
