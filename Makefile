# Headrace: every task is a target. `make help` explains them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
BUILD := build
BIN := $(BUILD)/headrace
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_SOURCES := $(shell find cmd internal spec sdk/python -name '*.go' -o -name '*.py' -path 'sdk/python/src/*' -o -path 'spec/*' -type f)
PYTHON ?= python3
VENV := $(BUILD)/venv
DEMO_VENV := examples/reports/.venv
CHAT := $(addprefix examples/chat/,.venv/.done node_modules/.package-lock.json data/secret)
FLEET := examples/fleet/data/flights.jsonl
ORDERS := $(addprefix examples/orders/,.venv/.done node_modules/.package-lock.json data/secret)

.PHONY: help
help: ## Explain every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z\/_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(BIN) ## Build the binary into build/headrace

$(BIN): go.mod go.sum cmd/headrace/default.pgo $(GO_SOURCES)
	go build -trimpath -pgo=auto -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/headrace

.PHONY: demo
demo: $(BIN) $(DEMO_VENV)/.done ## Build, prepare real data and start the demo on http://127.0.0.1:8080
	cd examples/reports && .venv/bin/python prepare.py
	$(BIN) run --config examples/reports/headrace.yaml

.PHONY: example/chat
example/chat: $(BIN) $(CHAT) ## Build and start the chat on http://127.0.0.1:8080
	$(BIN) run --config examples/chat/headrace.yaml

.PHONY: example/fleet
example/fleet: $(BIN) $(FLEET) ## Build, prepare real positions and start the map of aircraft on http://127.0.0.1:8080
	$(BIN) run --config examples/fleet/headrace.yaml

.PHONY: example/orders
example/orders: $(BIN) $(ORDERS) ## Build and start the paint shop, a Node and a Python service behind one gateway, on http://127.0.0.1:8080
	$(BIN) run --config examples/orders/headrace.yaml

examples/%/.venv/.done: examples/%/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

examples/%/.venv/.tests: examples/%/requirements-test.txt examples/%/.venv/.done
	$(@D)/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

examples/%/node_modules/.package-lock.json: examples/%/package-lock.json
	cd examples/$* && npm ci --silent --ignore-scripts --no-audit --no-fund
	touch $@

examples/%/data/secret:
	mkdir -p $(@D)
	umask 077 && $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32))' > $@

examples/fleet/data/flights.jsonl: examples/fleet/prepare.py examples/fleet/node_modules/.package-lock.json
	rm -rf examples/fleet/data/map $@
	cd examples/fleet && $(PYTHON) prepare.py

# Compiling with the profile takes longer, and tells tests nothing.
export GOFLAGS += -pgo=off

# The race detector holds every program for a second in its end, by default.
export GORACE := atexit_sleep_ms=50

# Most tests wait more than they compute: packages run four at a time, and targets two. Those with a browser compute, and run by themselves.
.PHONY: test
test: ## Install what the tests need and run all of them
	$(MAKE) --no-print-directory --output-sync=target -j2 test/go test/live test/hostile test/crash test/python test/cross
	$(MAKE) --no-print-directory test/demo test/orders

.PHONY: test/go
test/go: $(VENV)/.done ## Go tests with the race detector, vet and formatting
	test/tools/setup
	test -z "$$(gofmt -l cmd internal spec bench sdk test)"
	go vet ./...
	go test -race -vet=off -p 4 -timeout 9m ./cmd/... ./internal/... ./spec/... ./bench/... ./test/...
	go test -vet=off ./internal/gateway/upstream  # with the race detector its system calls are compiled otherwise
	go test -vet=off -run '^TestIdleMemory$$' ./internal/engine

.PHONY: test/python
test/python: $(VENV)/.done ## The Python SDK: types and tests
	cd sdk/python && ../../$(VENV)/bin/mypy --strict src tests && ../../$(VENV)/bin/pytest -q

.PHONY: test/cross
test/cross: ## Compile for the other platforms
	GOOS=linux GOARCH=arm64 go build -ldflags "-s -w" -o /dev/null ./cmd/headrace
	GOOS=darwin GOARCH=arm64 go build -ldflags "-s -w" -o /dev/null ./cmd/headrace

.PHONY: test/demo
test/demo: $(BIN) $(VENV)/.done $(DEMO_VENV)/.done $(CHAT) examples/chat/.venv/.tests $(FLEET) ## The demo and the examples: their functions, and browsers that use them
	test/browser/setup
	cd examples/reports && .venv/bin/python prepare.py
	cd examples/reports && .venv/bin/mypy --strict . && .venv/bin/python -m pytest -q tests
	cd examples/chat && .venv/bin/mypy --strict . && .venv/bin/python -m pytest -q tests
	cd examples/fleet && ../../$(VENV)/bin/mypy --strict . && ../../$(VENV)/bin/python -m pytest -q tests
	cd test/browser && npm test

.PHONY: test/orders
test/orders: $(BIN) $(DEMO_VENV)/.done $(ORDERS) ## The paint shop: every policy of its gateway, kills and reloads under load, its OpenAPI document, a browser
	test/browser/setup
	test/orders/setup
	$(BIN) check --config examples/orders/headrace.yaml
	cd examples/orders && .venv/bin/mypy --strict . && .venv/bin/python -m pytest -q tests
	cd test/orders && node --test --test-concurrency=1 --test-timeout=120000 *.test.js

.PHONY: test/live
test/live: $(BIN) ## Live connections: published clients of three languages, restarts and kills, bad input
	test/live/setup
	GORACE="$(GORACE) suppressions=$(abspath test/live/race.supp)" HEADRACE_BIN=$(abspath $(BIN)) go test -race -count 1 -timeout 9m ./test/live

.PHONY: test/hostile
test/hostile: $(BIN) ## Hostile clients: requests that can be read in two ways, paths around policies, slow clients (LONG=1: longer, with slowhttptest)
	HEADRACE_BIN=$(abspath $(BIN)) go test -count 1 -timeout 15m ./test/hostile -args $(if $(LONG),-long)

.PHONY: test/hostile/differences
test/hostile/differences: $(BIN) ## Write where nginx and HAProxy differ into test/hostile/DIFFERENCES.md
	HEADRACE_BIN=$(abspath $(BIN)) go test -count 1 -timeout 5m ./test/hostile -run Rivals -args -differences

.PHONY: test/crash
test/crash: $(BIN) ## Ten random kills under load; nothing acknowledged may be lost
	go run ./test/crash -kills 10

.PHONY: crash
crash: $(BIN) ## The long crash run: 200 random kills (KILLS=n, SEED=n)
	go run ./test/crash -kills $(or $(KILLS),200) $(if $(SEED),-seed $(SEED))

.PHONY: bench/jobs
bench/jobs: ## Jobs beside Celery, Dramatiq and BullMQ; prints a table
	go run ./bench/jobs

.PHONY: bench/live
bench/live: ## Live connections beside ws, Socket.IO and the library centrifuge; prints a table
	go run ./bench/live

.PHONY: bench/gateway
bench/gateway: ## The gateway beside nginx, HAProxy, Caddy, Traefik, Fastify, Express and Go's ReverseProxy; prints a table
	go run ./bench/gateway

.PHONY: bench/gateway/traefik
bench/gateway/traefik: ## Build Traefik for bench/gateway, which leaves it out otherwise: ten minutes and more of CPU
	mkdir -p $(BUILD)/bench/gateway
	cd bench/gateway/rivals/traefik && go build -trimpath -ldflags "-s -w" -o $(CURDIR)/$(BUILD)/bench/gateway/traefik github.com/traefik/traefik/v3/cmd/traefik

.PHONY: profile
profile: ## Record for the compiler what the server does under the benchmarks, into cmd/headrace/default.pgo
	rm -rf $(BUILD)/profiles
	mkdir -p $(BUILD)/profiles
	go build -trimpath -o $(BUILD)/profiled ./bench/profiled
	export BENCH_HEADRACE=$(BUILD)/profiled BENCH_PROFILES=$(abspath $(BUILD)/profiles) && \
		go run ./bench/gateway -only headrace -scenario small,guarded,tls,h2,latency && \
		go run ./bench/jobs -only headrace && \
		go run ./bench/live -rivals headrace -scenario delivery,burst,connect
	go tool pprof -proto $(BUILD)/profiles/* > cmd/headrace/default.pgo

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (default 10s)
	@for package in $$(go list ./...); do for target in $$(go test -list '^Fuzz' $$package | grep ^Fuzz); do \
		echo "$$package $$target"; go test -run xxx -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),10s) $$package || exit 1; done; done

$(VENV)/.done: sdk/python/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -e 'sdk/python[dev]'
	touch $@

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BUILD) $(DEMO_VENV) examples/reports/data examples/{chat,fleet,orders}/{data,node_modules,.venv} test/orders/.venv test/browser/node_modules test/live/node_modules
