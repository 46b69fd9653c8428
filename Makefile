# `make help` lists the targets. Nothing but Go, git and make is needed to build;
# tests that compare with other tools also want nft, conntrack and ip.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X github.com/tierwall/tierwall/internal/cli/version.version=$(VERSION)
PKGS     ?= ./...

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .tools/golangci-lint-$(GOLANGCI_VERSION)

BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 10s

# What has properties of its own size, for `make explore`. Those of the kernel
# (internal/dataplane/nft) take some 70 ms a case: hours, with so many.
EXPLORE     ?= ./analyze ./internal/compact ./internal/controller ./internal/dataplane/nft ./internal/engine ./internal/extauthz ./internal/store/kube
EXPLORE_RUN ?= .
CHECKS      ?= 20000

.DEFAULT_GOAL := build

.PHONY: build
build: ## build bin/tierwall, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/tierwall ./cmd/tierwall

.PHONY: demo
demo: build ## decide over real packets on this machine, and compare
	bin/tierwall demo

# It runs `go test -json`: a line for each package, failures in full, what was skipped.
TESTRUN := .tools/testrun

.PHONY: testrun
testrun:
	@$(GO) -C tools build -o $(CURDIR)/$(TESTRUN) ./testrun

.PHONY: test
test: vet testrun ## vet, then all tests; which were skipped, and why, at the end
	$(TESTRUN) $(GO) test -json -timeout 20m $(PKGS) \
		-- $(GO) -C tools test -json ./generate ./crdtest ./testrun \
		-- $(GO) -C tools/httpdocs test -json ./...

.PHONY: explore
explore: ## the properties with CHECKS (20000) new random cases each, in EXPLORE
	$(GO) test -count=1 -timeout 4h $(EXPLORE) -run '$(EXPLORE_RUN)' -args -rapid.checks=$(CHECKS)

.PHONY: docs-test
docs-test: ## what docs/http.md tells Envoy and Istio, held against their own types
	$(GO) -C tools/httpdocs test ./...

.PHONY: vet
vet: ## go vet
	$(GO) vet $(PKGS)

.PHONY: race
race: testrun ## all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(TESTRUN) $(GO) test -json -race -timeout 40m $(PKGS)

.PHONY: lint
lint: $(GOLANGCI) ## gofmt and golangci-lint, at its pinned version
	$(GOLANGCI) run $(PKGS)
	for module in tools tools/httpdocs test/e2e test/e2e/parts/sctp; do (cd $$module && $(CURDIR)/$(GOLANGCI) run ./...) || exit 1; done

$(GOLANGCI):
	@mkdir -p .tools
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .tools/golangci-lint $@

.PHONY: bench
bench: ## all benchmarks; BENCH=regexp and BENCHTIME=1s choose
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m $(PKGS)

.PHONY: fuzz
fuzz: ## each fuzzer for FUZZTIME (10s)
	@grep -rn --include='*_test.go' -E '^func Fuzz[A-Za-z0-9_]*\(' . | \
	sed -E 's|^(.*)/[^/]*_test\.go:[0-9]+:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort | \
	while read -r dir fuzzer; do \
		echo "== $$fuzzer in $$dir"; \
		$(GO) test "$$dir" -run '^$$' -fuzz "^$$fuzzer\$$" -fuzztime $(FUZZTIME) </dev/null || exit 1; \
	done

.PHONY: generate
generate: ## config/crd and the copying of objects, from the Go types in api/
	$(GO) -C tools run ./generate

.PHONY: generate-test
generate-test: ## what is generated is current, and the definitions agree with package translate
	$(GO) -C tools test ./generate ./crdtest

# The image: no container engine, no base image, no network. Equal sources give equal bytes.
IMAGE     ?= localhost/tierwall:dev
PLATFORMS ?= linux/amd64 linux/arm64
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.PHONY: image
image: ## dist/: the container image IMAGE for PLATFORMS, with bills of materials
	@set -e; for p in $(PLATFORMS); do \
		echo "building $$p"; \
		CGO_ENABLED=0 GOOS=$${p%%/*} GOARCH=$${p##*/} $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/$$p/tierwall ./cmd/tierwall; \
	done
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(GO) -C tools run ./image -o ../dist -name $(IMAGE) -version $(VERSION) \
		-revision "$$(git rev-parse HEAD 2>/dev/null)" -license ../LICENSE $(foreach p,$(PLATFORMS),$(p)=../dist/$(p)/tierwall)

.PHONY: manifests
manifests: ## charts/tierwall/files and deploy/, from config/crd and the chart
	$(GO) -C tools run ./manifests

.PHONY: chart-test
chart-test: ## helm lint, the chart with many values, deploy/ up to date, the image
	$(GO) -C tools test ./chart ./manifests ./image

# Tests against a real Kubernetes: root, and some minutes for its first build. test/e2e/README.md says more.
E2E        ?= .
E2E_BUDGET ?= 30

.PHONY: e2e
e2e: ## a real Kubernetes: the upstream Netpol suite, and scenarios; E2E=regexp chooses
	$(GO) -C test/e2e/parts/sctp test ./...
	$(GO) -C test/e2e test -p 1 -count=1 -timeout 180m -v -run '$(E2E)' ./...

.PHONY: e2e-ci
e2e-ci: ## what of e2e fits into E2E_BUDGET minutes (30), the most telling first
	test/e2e/ci $(E2E_BUDGET)

.PHONY: conformance
conformance: ## the upstream suite for ClusterNetworkPolicy, all of it, on a real Kubernetes
	$(GO) -C test/e2e test -count=1 -timeout 60m -v -run '^TestConformance$$' .

.PHONY: e2e-cluster
e2e-cluster: ## a cluster of two nodes to explore, until it is interrupted
	$(GO) -C test/e2e run ./cmd/cluster up $(E2E_CLUSTER)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist .tools

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'
