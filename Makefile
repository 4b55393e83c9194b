# `make help` lists the targets.

GO           ?= go
PKG          ?= ./...
FUZZTIME     ?= 10s
TESTTIMEOUT  ?= 25m
TESTFLAGS    ?=
RACE          = -race -shuffle=on -timeout=$(TESTTIMEOUT) $(TESTFLAGS)
# Those that break things, and take the machine for themselves.
FAULTS       := ./test/failures ./test/faults
# Those whose whole volume is too much for the race detector.
VOLUME       := ^(TestFlood|TestFlood_OnSchedule|TestRedeliveriesHoldNoPlace|TestRequeue_Killed|TestManyWorkers)$$
CHART        ?= docs/answering.png
LINT_VERSION := v2.15.0
LINT_DIR     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/answerfeed/golangci-lint-$(LINT_VERSION)
LINT         := $(LINT_DIR)/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help build crashpoints setup test test-all faults volume lint format fuzz bench reconnects steady saga-long answering verify verify-long clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the static binary bin/worker
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/worker ./cmd/worker

crashpoints: ## build bin/worker-crashpoints, which can be made to die at certain moments; for verify alone
	CGO_ENABLED=0 $(GO) build -trimpath -tags crashpoints -o bin/worker-crashpoints ./cmd/worker

setup: ## install, or name, what the tests need beside Go
	@test/setup.sh

test: ## run the tests that a change is judged by: unit, conformance, browser, real servers (PKG=./internal/feed runs one package)
ifeq ($(PKG),./...)
	@test/setup.sh
	CGO_ENABLED=1 $(GO) test $(RACE) $$($(GO) list ./... | grep -v -E 'answerfeed/test/fa(ilures|ults)$$')
else
	CGO_ENABLED=1 $(GO) test $(RACE) $(PKG)
endif

test-all: test faults volume verify ## and the fault tests, the floods, and verify

faults: ## run the tests that kill, cut and fill what the worker stands on
	CGO_ENABLED=1 $(GO) test -p 1 $(RACE) $(FAULTS)

volume: ## run at their whole volume the tests for which that is too much for the race detector
	$(GO) test -timeout=$(TESTTIMEOUT) $(TESTFLAGS) -run '$(VOLUME)' ./test/failures ./internal/deadletter ./internal/feed ./internal/leaderboard

lint: $(LINT) ## vet, formatting, linters, import rules, go.mod, shell scripts
	$(GO) vet ./...
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted; run make format:"; echo "$$files"; exit 1; fi
	$(GO) mod tidy -diff
	$(LINT) run ./...
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run $$(git ls-files "*.sh"); else echo "shellcheck is not installed; no shell script was checked"; fi

format: $(LINT) ## format the code
	$(LINT) fmt ./...

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list $(PKG)); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: ## run the benchmarks (PKG=./internal/feed runs those of one package)
	$(GO) test -run '^$$' -bench . -benchmem -timeout=$(TESTTIMEOUT) $(PKG)

reconnects: ## cut the worker's connections to RabbitMQ and PostgreSQL 500 times, and see that nothing of them stays; 10 min
	WORKER_TEST_RECONNECTS=500 $(GO) test -run '^TestReconnects$$' -v -count=1 -timeout=1h ./test/faults

steady: ## see what the worker holds in 30 minutes of 200 answers a second
	WORKER_TEST_STEADY=30m $(GO) test -run '^$$' -bench '^BenchmarkSteady$$' -benchtime=1x -timeout=1h ./test/faults

saga-long: ## kill examples/saga 50 times at every step
	WORKER_TEST_SAGA_KILLS=50 $(GO) test -run '^TestSaga_KilledAtEveryStep$$' -v -count=1 -timeout=2h ./examples/saga

answering: ## measure examples/answering into docs/answering.md, 20 minutes (CONFIG=FILE CHART=FILE: on servers that FILE names)
	$(GO) run ./examples/answering --measure $(if $(CONFIG),--config $(CONFIG)) --report docs/answering.md -o json >$(CHART).json
	cd bench && $(GO) run ./answering $(abspath $(CHART)) <$(abspath $(CHART)).json
	rm $(CHART).json

# What was seen is in docs/reliability.md. The first run is of the binary that is shipped.
verify: build crashpoints ## break workers, network and servers on each transport, and show that nothing is lost; within 8 min
	bin/worker verify --own-servers --messages 100000 --kills 50 --broker-kills 3 --database-kills 5 --failovers 2
	bin/worker-crashpoints verify --own-servers --messages 3000 --only crash-points --crash-points 2

verify-long: build crashpoints ## the same, ten times as much
	bin/worker verify --own-servers --messages 1000000 --kills 200 --stops 5 --cuts 50 --broker-kills 20 --database-kills 40 --failovers 10
	bin/worker-crashpoints verify --own-servers --messages 30000 --only crash-points --crash-points 10

clean: ## remove bin/
	rm -rf bin

# From the Go module proxy, into a folder of its own.
$(LINT):
	GOBIN=$(LINT_DIR) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
