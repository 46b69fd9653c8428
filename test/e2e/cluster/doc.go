// Package cluster runs a real Kubernetes cluster on one machine, for tests: the
// upstream API server, scheduler, kubelets, kube-proxies and containerds, each
// node being a set of namespaces. There is no container tool and no registry
// behind it; [Build] makes every program from its source.
//
// # The layout
//
//	                  172.29.0.1  fd00:29::1
//	┌───────────────── cp ─────────────────┐
//	│ etcd  API server  controller manager │
//	│ scheduler          bridge "nodes"    │
//	└───────────┬────────────────┬─────────┘
//	            │                │
//	┌───────── n1 ───────┐  ┌── n2 ─ ...
//	│ eth0 172.29.0.11   │  │ eth0 172.29.0.12
//	│ containerd         │  │
//	│ kubelet            │  │       services 10.96.0.0/16   fd00:96::/112
//	│ kube-proxy         │  │
//	│ pods 10.244.1.0/24 │  │ pods 10.244.2.0/24
//	│ fd00:244:0:1::/64  │  │ fd00:244:0:2::/64
//	└────────────────────┘  └───────────
//
// Pods are joined to their node by the ptp plugin, with a route for each, and the
// nodes know each other's pods: no NAT and no overlay. Nothing outside is
// reachable, and nothing outside reaches in; clusters side by side do not meet.
//
// A node has network, mount, PID and host name namespaces of its own, and its own
// /run, /var/lib/kubelet, /var/lib/containerd, /var/lib/cni, /var/log, /etc/cni/net.d
// and /opt/cni/bin. All else is the machine's: programs and files have the same paths inside.
//
// # Nothing stays behind
//
// The first process of each host of a cluster lives for as long as its starter
// keeps a pipe open, and the kernel ends everything in a PID namespace with its
// first process. So a cluster ends with the process that started it, in whatever
// way that happens; a janitor, which waits on the same pipe, then removes the
// control groups and the files. [Up] removes what is left of clusters whose janitor was
// killed as well.
//
// # What it needs
//
// Linux, root, Go, the cgroup v1 hierarchies in /sys/fs/cgroup, and the Debian packages
// that [Packages] lists.
package cluster
