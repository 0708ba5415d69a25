# What a developer does with Pharos. `make run` and `make test` need Go 1.26 and Node 20 and install the rest themselves.
SHELL := /bin/bash -o pipefail
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
WEB := console/web
TOOL := $(GO) tool -modfile=internal/tools/go.mod
# Packages tested under the race detector: those with most goroutines of our own. The others are tested without, since
# building SQLite, Prometheus and ClickHouse clients a second time takes longer than their tests.
RACE := ./agent/... ./vessel/... ./compute ./compute/journal ./compute/window ./internal/logpipe/... ./internal/partial/... ./internal/rpc/... ./internal/ring/...

.PHONY: build web server agent run demo test test-web test-go test-race test-deploy test-browser lint bench soak proto openapi screenshots clean

build: web server agent

$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund
	touch $@

web: $(WEB)/dist/index.html

$(WEB)/dist/index.html: $(WEB)/node_modules/.installed $(shell find $(WEB)/src $(WEB)/index.html $(WEB)/vite.config.ts -type f 2>/dev/null)
	cd $(WEB) && npm run build

server: web
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/pharos ./cmd/pharos

agent:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/pharos-agent ./cmd/pharos-agent

# Builds, starts everything on this machine and prints the address and the first password.
run: build
	./bin/pharos all --data ./data --http 127.0.0.1:8080

# The same with a sample shop that is watched at once.
demo: build
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/shop ./examples/shop
	./examples/demo.sh

test: test-web lint test-go test-race test-deploy test-browser

test-web: $(WEB)/node_modules/.installed
	cd $(WEB) && npm run typecheck && npm run lint && npm test

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

test-go: web
	$(GO) test $$($(GO) list ./... | grep -vxF "$$($(GO) list $(RACE))")

test-race: web
	$(GO) test -race $(RACE)

# The Helm chart, the Compose file, the systemd units and the Dockerfile, against what the binaries understand.
test-deploy: build
	cd deploy/validate && PHAROS_BIN=$(CURDIR)/bin $(GO) test -count=1 ./... # the files are outside its module, where the test cache does not look

# The main job in a real browser, against real processes.
test-browser: build
	./internal/apptest/browser.sh

bench: agent server
	$(GO) run ./internal/bench
	$(GO) test -run '^$$' -bench Dashboard -benchtime 10x ./console/dashboards

# Long runs; the last figures are in docs/benchmarks.md.
soak: build
	PHAROS_SOAK=1 $(GO) test -count=1 -timeout 3h -v -run 'TestExact' ./internal/exact
	PHAROS_SOAK=1 $(GO) test -count=1 -timeout 1h -v -run 'TestReplicas|TestShardsMove' ./alarm

proto:
	cd proto && $(GO) tool -modfile=../internal/tools/go.mod buf lint && $(GO) tool -modfile=../internal/tools/go.mod buf generate

openapi:
	$(GO) generate ./console/...
	cd $(WEB) && npm run api

screenshots: build
	./internal/apptest/screenshots.sh

clean:
	rm -rf bin $(WEB)/dist/* $(WEB)/node_modules
