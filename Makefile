# Every target works on a fresh Debian machine with Go and Node.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

GOLANGCI_VERSION := v2.15.0
TOOLS := $(CURDIR)/.tools
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s

.PHONY: run build web test lint lint-go lint-web fmt race fuzz e2e bench bench-peers bench-pion bench-api eval eval-network clean tools

run: build ## build everything and serve a clinic on this machine, with demo links
	exec bin/chatmed demo

build: web ## bin/chatmed with the pages inside
	CGO_ENABLED=0 go build -tags nomsgpack -trimpath -ldflags '$(LDFLAGS)' -o bin/chatmed ./cmd/chatmed

web: web/dist/room.html

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	touch $@

WEB_SOURCES := $(shell find web/src web/public web/scripts -type f 2>/dev/null) $(wildcard web/*.html web/*.ts web/package.json)

web/dist/room.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	cd web && npm run --silent build

tools: ## what the tests need beside Go and Node
	deploy/install-tools.sh
	cd internal/blob/s3test/gateway && GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 go tool -n versitygw >/dev/null # the S3 server of the tests

test: tools web lint ## everything CI checks: lint, Go with the race detector, pages, browsers
	go test -race -timeout 15m ./...
	go test -run 'Alloc|NothingWithoutConsent' ./sfu/... ./recording/... # the race detector allocates by itself, and is slow
	cd web && npm test --silent
	$(MAKE) e2e

race: tools web ## Go tests with the race detector only
	go test -race -timeout 15m ./...

lint: lint-go lint-web

lint-go: $(GOLANGCI) web
	$(GOLANGCI) run ./...

lint-web: web/node_modules/.package-lock.json
	cd web && npm run --silent typecheck && npm run --silent lint

$(GOLANGCI):
	mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

fmt: web/node_modules/.package-lock.json
	gofmt -w cmd sfu signaling waitingroom recording api internal web/*.go
	cd web && npm run --silent format

e2e: tools build ## consultations in real Chromium windows
	cd web && npm run --silent e2e

fuzz: ## every fuzz target for FUZZTIME each
	@for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: tools build ## Go benchmarks of the hot paths and the API, then whole workloads: BENCH_WORKLOADS, BENCH_ROUNDS, BENCH_SECONDS
	go test -run '^$$' -bench "$${BENCH_GO:-.}" -benchmem ./sfu/... ./waitingroom/... ./internal/limits/... ./internal/clinical/emergency
	go test -run '^$$' -bench 'Status|Create' -benchtime 3000x ./api
	deploy/bench/run.sh ours

bench-api: tools ## the API over a store of a million rows and 10,000 keys, beside an empty one (tens of minutes)
	go test -run '^$$' -bench Full -benchtime 3000x -timeout 90m ./api

bench-peers: build ## the same workloads on Debian's Janus, in turns with ours
	deploy/bench/run.sh peers

bench-pion: build ## the same workloads on an SFU of the usual kind on Pion's PeerConnection, in turns with ours
	deploy/bench/run.sh pion

learn: ## the second reading of the emergency screen, from the development texts
	go run ./internal/clinical/emergency/learned/train

eval: ## what the clinical engines catch and miss, into docs/clinical
	go run ./internal/clinical/emergency/eval
	go run ./internal/clinical/chat/eval

eval-network: tools build ## a call of two Chromium windows on every bad link, as a table: EVAL_SECONDS, EVAL_PRESETS
	cd web && EVAL_NETWORK=1 node --test --test-timeout=900000 e2e/impaired.test.mjs

clean:
	rm -rf bin .tools .artifacts web/node_modules web/dist/assets web/dist/*.html
