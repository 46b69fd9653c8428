package verify

import (
	"context"
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hosts asks all attachments. A kernel that cannot tell of host endpoints differs where
// there are any.
func (v *verifier) hosts(ctx context.Context) error {
	kernel, ok := v.Kernel.(dataplane.HostDecider)
	if !ok {
		kernel = dataplane.NewState() // it says nothing
	}
	tasks := v.hostTasks()
	v.strayAttachments(tasks)
	if walked, ok := v.Kernel.(dataplane.HookDecider); ok {
		return v.hooks(ctx, walked, tasks)
	}
	for _, t := range tasks {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.hostFlows(t, func(f policy.Flow) { v.compareHost(kernel, t, f) })
	}
	return nil
}

// strayAttachments finds host endpoints that the kernel has and policy does not.
func (v *verifier) strayAttachments(tasks []hostTask) {
	kernel, ok := v.Kernel.(dataplane.AttachmentLister)
	if !ok {
		return
	}
	known, held := map[dataplane.AttachmentKey]bool{}, map[dataplane.AttachmentKey]bool{}
	for _, t := range tasks {
		t.at.Node = ""
		known[t.at] = true
	}
	for _, at := range kernel.Attachments() {
		held[at] = true
		if !known[at] {
			v.report.structure(fmt.Sprintf("the kernel has host endpoint %v, which is none of the store's", at))
		}
	}
	for _, t := range tasks {
		if t.at.Node = ""; t.attachment.Governs() && !held[t.at] {
			v.report.structure(fmt.Sprintf("the kernel has no host endpoint %v, which is %s of the store", t.at, t.endpoint.Key.Name))
		}
	}
}

func (v *verifier) compareHost(kernel dataplane.HostDecider, t hostTask, f policy.Flow) {
	v.total++
	got := policy.Allow
	if d := kernel.DecideHost(t.at, f); d.Governed && !d.Allow {
		got = policy.Deny
	}
	want, governed := v.atHooks().AtHost(t.at.Hook, t.endpoint, f)
	if !governed {
		want.Verdict = policy.Allow
	}
	if got == want.Verdict {
		return
	}
	v.report.differ(Difference{
		Flow: f, Direction: t.at.Hook.Direction(), Kernel: got, Reference: want.Verdict, By: want.By,
		Host: t.endpoint.Key.Name + " " + t.at.Hook.String(),
	})
}
