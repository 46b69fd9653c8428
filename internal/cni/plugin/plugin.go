// Package plugin is the CNI plugin: what "tierwall cni" does, and the program itself
// when a container runtime executes it.
//
// It is the last of a chain. It asks the agent whether the policy of the pod that is
// being started is in the kernel, and passes the result of the plugins before it on
// as it is. It changes nothing on the host.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// CodeRefused is the error code of an agent that refuses what the plugin asks, which
// another try does not change. CNI leaves the codes from 100 on to plugins.
const CodeRefused = 100

// How long the commands other than ADD may take.
const (
	delTimeout    = 3 * time.Second
	statusTimeout = 3 * time.Second
	gcTimeout     = 10 * time.Second
	checkTimeout  = 5 * time.Second
)

// Versions are those of CNI that the plugin speaks. Before 0.3.0 there were no chains.
var Versions = version.VersionsStartingFrom("0.3.0")

// Main runs the command that CNI put into the environment and on standard input,
// writes its result or error on standard output, and gives the exit code.
func Main() int {
	var p plugin
	failure := skel.PluginMainFuncsWithError(skel.CNIFuncs{
		Add: p.add, Del: p.del, Check: p.check, GC: p.gc, Status: p.status,
	}, Versions, "tierwall: a CNI plugin that is chained behind the one that makes the network")
	if failure == nil {
		if _, err := os.Stdout.Write(p.result); err != nil {
			failure = types.NewError(types.ErrIOFailure, fmt.Sprintf("write the result: %v", err), "")
		}
	}
	if failure != nil {
		_ = failure.Print()
		return 1
	}
	return 0
}

// plugin is one run.
type plugin struct {
	// result is written at the very end: skel may still find fault after ADD.
	result []byte
}

func (p *plugin) add(args *skel.CmdArgs) error {
	conf, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	prev, err := parsePrevious(args.StdinData)
	if err != nil {
		return err
	}
	if err := hold(args, conf, prev); err != nil {
		return err
	}
	p.result, err = prev.output()
	return err
}

// hold returns when the pod may start.
func hold(args *skel.CmdArgs, conf wire.Conf, prev *previous) error {
	id, err := podID(args)
	if err != nil {
		return err
	}
	if slices.Contains(conf.ExemptNamespaces, id.Namespace) {
		return nil
	}
	pod, err := describe(id, args.Netns, prev)
	if err != nil {
		return err
	}
	open := conf.FailurePolicy == wire.Open
	ctx, cancel := context.WithTimeout(context.Background(), conf.Wait())
	defer cancel()
	err = wire.AskUntil(ctx, conf.Socket, wire.Request{Op: wire.Add, Pod: &pod, Keep: open})
	records := wire.RecordsDir(conf.Socket)
	switch {
	case err == nil:
		return nil
	case open:
		// An agent that answered has made the record, unless it could not.
		if !records.Has(pod.Attachment) {
			_ = errors.Join(records.Make(), records.Write(wire.Record{Pod: pod, Since: time.Now(), Late: true}))
		}
		warn("pod %s starts although its policy is not in the kernel, as failurePolicy %q allows: %v", pod.PodID, wire.Open, err)
		return nil
	}
	// An agent may have taken the pod in and died before it said so.
	_ = records.Remove(pod.Attachment)
	return explain(err, fmt.Sprintf("the network policy of pod %s is not in force yet, so that it cannot start", pod.PodID), conf)
}

// del succeeds whatever happens: nothing that the plugin could do later would be better,
// and an error would keep the pod from ending.
func (p *plugin) del(args *skel.CmdArgs) error {
	attachment := wire.Attachment{Container: args.ContainerID, Interface: args.IfName}
	conf, err := parseConf(args.StdinData)
	if err != nil {
		warn("end of %s: %v; the agent finds out later", attachment, err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), delTimeout)
	defer cancel()
	if err := wire.Ask(ctx, conf.Socket, wire.Request{Op: wire.Del, Attachment: &attachment}); err != nil {
		// An agent that is there misses its record later, one that starts never knows of it.
		if err := wire.RecordsDir(conf.Socket).Remove(attachment); err != nil {
			warn("end of %s: %v", attachment, err)
		}
	}
	return nil
}

// check asks whether the policy of a pod that runs is in force.
func (p *plugin) check(args *skel.CmdArgs) error {
	conf, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	prev, err := parsePrevious(args.StdinData)
	if err != nil {
		return err
	}
	id, err := podID(args)
	if err != nil {
		return err
	}
	if slices.Contains(conf.ExemptNamespaces, id.Namespace) {
		return nil
	}
	pod, err := describe(id, args.Netns, prev)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(checkTimeout, conf.Wait()))
	defer cancel()
	if err := wire.AskUntil(ctx, conf.Socket, wire.Request{Op: wire.Check, Pod: &pod}); err != nil {
		return explain(err, fmt.Sprintf("the network policy of pod %s cannot be said to be in force", pod.PodID), conf)
	}
	return nil
}

// gc tells the agent which attachments there are, so that it forgets all others.
func (p *plugin) gc(args *skel.CmdArgs) error {
	conf, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	network, valid, err := validAttachments(args.StdinData)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), gcTimeout)
	defer cancel()
	err = wire.Ask(ctx, conf.Socket, wire.Request{Op: wire.GC, Network: network, Valid: valid})
	if err != nil {
		return explain(err, "records of pods that have ended are kept for now", conf)
	}
	return nil
}

// status says whether pods can start. Nodes whose status is bad lose all traffic to
// their pods, which an agent that is away for a moment is no reason for: it is bad until
// the first agent after the start of the host.
func (p *plugin) status(args *skel.CmdArgs) error {
	conf, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	if conf.FailurePolicy == wire.Open || wire.RecordsDir(conf.Socket).Made() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	if err := wire.Ask(ctx, conf.Socket, wire.Request{Op: wire.Status}); err != nil {
		failure := explain(err, "no pod can start before the tierwall agent of this host runs", conf)
		failure.Code = types.ErrPluginNotAvailable
		return failure
	}
	return nil
}

// explain makes the error that a container runtime shows, and with it kubelets in the
// events of a pod. Code 11 says that another try is worth it.
func explain(err error, what string, conf wire.Conf) *types.Error {
	refusal, refused := errors.AsType[*wire.Refusal](err)
	switch {
	case !refused && wire.Unreachable(err):
		return types.NewError(types.ErrTryAgainLater, "tierwall: "+what+": no agent answers at "+conf.Socket+
			" on this host: see whether its pod runs on this node, and its log", err.Error())
	case !refused:
		return types.NewError(types.ErrTryAgainLater, "tierwall: "+what+": the agent did not answer in time: see its log", err.Error())
	case refusal.Kind == wire.Invalid:
		return types.NewError(CodeRefused, "tierwall: "+what+": the agent refuses the request", refusal.Message)
	}
	return types.NewError(types.ErrTryAgainLater, "tierwall: "+what, refusal.Message)
}

// warn writes to standard error, which container runtimes keep in their logs.
func warn(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "tierwall: "+format+"\n", args...)
}
