package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// nodeReports lists what agents report of their nodes; nothing if that cannot be read.
func (s *source) nodeReports(ctx context.Context, o *discovery) []store.Resource {
	info, _ := policy.LookupKind(policy.KindNodePolicyReport)
	k := &kind{KindInfo: info}
	if _, served := o.groups[k.Group]; !served {
		return nil
	}
	for tries := 1; ; tries++ {
		reports, err := s.reportPages(ctx, k)
		switch {
		case err == nil:
			return reports
		case isExpired(err) && tries < listTries:
			continue
		case code(err) == http.StatusForbidden:
			err = fmt.Errorf("%w: a role of the user needs the rule %s", err, k.rule())
		case apierrors.IsNotFound(err):
			return nil
		}
		if s.opts.Unreported != nil {
			s.opts.Unreported(fmt.Errorf("%s cannot be read: %w", k.FullResource(), err))
		}
		return nil
	}
}

// reportOf is what is read of a report. The rest, policies by the thousand, is for the controller.
type reportOf struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Report struct {
		LocalAddresses []string `json:"localAddresses"`
		TunnelPorts    []int32  `json:"tunnelPorts"`
		LocalTruncated bool     `json:"localTruncated"`
	} `json:"report"`
}

// reportPages reads all pages of a list of reports.
func (s *source) reportPages(ctx context.Context, k *kind) ([]store.Resource, error) {
	var out []store.Resource
	next := ""
	for {
		p, err := s.client.list(ctx, k, "", next)
		if err != nil {
			return nil, err
		}
		for _, item := range p.items {
			var r reportOf
			if err := json.Unmarshal(item, &r); err != nil {
				return nil, &malformed{fmt.Errorf("a report: %w", err)}
			}
			out = append(out, store.Resource{
				Key: policy.Key{Kind: policy.KindNodePolicyReport, Name: r.Metadata.Name},
				Object: &v1alpha1.NodePolicyReport{
					ObjectMeta: metav1.ObjectMeta{Name: r.Metadata.Name},
					Report: v1alpha1.Report{
						LocalAddresses: r.Report.LocalAddresses, TunnelPorts: r.Report.TunnelPorts, LocalTruncated: r.Report.LocalTruncated,
					},
				},
			})
		}
		if next = p.next; next == "" {
			return out, nil
		}
	}
}
