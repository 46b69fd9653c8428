# `make help` lists the targets. Nothing but Go, git and make is needed to build;
# tests that compare with other tools also want nft, conntrack and ip.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X github.com/tierwall/tierwall/internal/cli.version=$(VERSION)
PKGS     ?= ./...

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .tools/golangci-lint-$(GOLANGCI_VERSION)

BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 10s

.DEFAULT_GOAL := build

.PHONY: build
build: ## build bin/tierwall, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/tierwall ./cmd/tierwall

.PHONY: demo
demo: build ## decide over real packets on this machine, and compare
	bin/tierwall demo

.PHONY: test
test: vet ## vet, then all tests
	$(GO) test -timeout 20m $(PKGS)

.PHONY: vet
vet: ## go vet
	$(GO) vet $(PKGS)

.PHONY: race
race: ## all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 40m $(PKGS)

.PHONY: lint
lint: $(GOLANGCI) ## gofmt and golangci-lint, at its pinned version
	$(GOLANGCI) run $(PKGS)

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

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .tools

.PHONY: help
help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'
