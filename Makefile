# The two commands of the README are `make demo` and `make test`; each does its own set-up.

CARGO ?= cargo
E2E_DIR ?= $(CURDIR)/target/e2e

.PHONY: help setup build demo test check unit e2e bench fuzz schema chart clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

setup: ## installs what the build needs and the machine lacks
	@.ci/setup

build: setup ## the release binary, target/release/backstay
	$(CARGO) build --locked --release

demo: setup ## a backup, a loss and a restore, on this machine alone
	$(CARGO) run --locked --quiet -- demo

test: check e2e ## everything CI runs: format, lints, unit tests, the real cluster

check: setup ## the quick half: format, lints, unit and contract tests, licences
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --lib --bins
	@.ci/deny

e2e: setup ## the scenarios on a real cluster, brought up and taken down
	e2e/run $(E2E_DIR)

bench: setup ## ratios against raw API calls on a real API server
	e2e/bench/run $(E2E_DIR)-bench

fuzz: setup ## every fuzz target for 60 seconds
	fuzz/run 60

schema: setup ## writes the generated files anew: schema and reference
	BACKSTAY_UPDATE=1 $(CARGO) test --locked --lib generated

chart: ## writes what is made from the chart anew: table of values, plain manifests, settings for Argo CD
	PATH="$${XDG_CACHE_HOME:-$$HOME/.cache}/backstay-e2e/bin:$$PATH" charts/generate

clean: ## what was built, and a cluster that was left running
	-[ ! -d $(E2E_DIR) ] || e2e/cluster/down $(E2E_DIR)/cluster
	$(CARGO) clean
