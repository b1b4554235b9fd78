# Every target does the set-up that it needs: install, build, certificates. `make help` lists them.
# Works with GNU make 3.81 (macOS) and later.

CONFIG ?= cluster.json

# Taken literally, whatever characters they hold, and handed to the recipes in the environment.
override CONFIG := $(value CONFIG)
ifdef MESSAGE
override MESSAGE := $(value MESSAGE)
endif
export CONFIG MESSAGE

# Cases of each test of `make fuzz`.
FUZZ_RUNS := 10000

PROGRAM := node scripts/ecdsa-mpc.js
OPTIONS = --config="$$CONFIG" $${MESSAGE:+--message="$$MESSAGE"} $(ARGS)
# Several terminals may start at once: one sets up, the others wait for it.
ALONE := node scripts/alone.js
SUBMAKE := $(MAKE) --no-print-directory

# What a build depends on. The folders are among them, so that a deleted file counts, too.
SOURCES := $(shell find src) tsconfig.json package-lock.json

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz torture check bench bench-against bench-compare certs build clean prepared

help:
	@echo 'make demo          run all parties of CONFIG on this machine, in one terminal'
	@echo 'make run-alice     run one party; likewise run-bob, run-charlie, run-dave'
	@echo 'make certs         make the certificates of CONFIG that are missing'
	@echo 'make test          run the tests'
	@echo 'make fuzz          try 10,000 faulty inputs on everything that reads what others wrote'
	@echo 'make torture       let machines, networks and parties fail in every way, for up to half an hour'
	@echo 'make check         check types, style and format'
	@echo 'make bench         measure; ARGS="growth memory" what takes many minutes'
	@echo 'make bench-against REF=COMMIT  measure this version against an earlier one'
	@echo 'make bench-compare measure the arithmetic against packages of npm, which it installs in scripts/bench/compare'
	@echo 'make build         install and compile'
	@echo 'make clean         delete what was built, and the certificates in certs/; backups stay'
	@echo
	@echo 'with CONFIG=cluster.json MESSAGE="Hello, MPC World!" ARGS="--quorum alice,bob"; SAVE_BACKUP=1 saves backups'

build:
	@$(ALONE) $(SUBMAKE) prepared

prepared: dist/.stamp
	@:

node_modules/.stamp: package-lock.json
	@echo 'installing dependencies'
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

dist/.stamp: node_modules/.stamp $(SOURCES)
	@node_modules/.bin/tsc -b
	@touch $@

certs: build
	@$(ALONE) $(PROGRAM) certs --config="$$CONFIG"

# A party needs its own certificate and that of the CA. Only where there is no CA yet, all are made.
demo: build
	@$(ALONE) $(PROGRAM) certs --if-none --config="$$CONFIG"
	@exec $(PROGRAM) demo $(OPTIONS)

run-%: build
	@$(ALONE) $(PROGRAM) certs --if-none --config="$$CONFIG"
	@exec $(PROGRAM) --self='$*' $(OPTIONS)

test: build
	@npm test --silent

fuzz: build
	@node_modules/.bin/tsc -b test
	@FUZZ_RUNS='$(FUZZ_RUNS)' exec node scripts/test.js fuzz/

torture: build
	@node_modules/.bin/tsc -b test
	@TORTURE=1 exec node scripts/test.js faults/ adversary/fields adversary/frames

check: build
	@npm run --silent check

bench: build
	@node_modules/.bin/tsc -b scripts/bench
	@exec node dist/bench/main.js $(ARGS)

# REF is taken literally, as CONFIG is.
ifdef REF
override REF := $(value REF)
endif
export REF

bench-against: build
	@node_modules/.bin/tsc -b scripts/bench
	@exec node dist/bench/against.js "$$REF" $(ARGS)

COMPARE := scripts/bench/compare

bench-compare: build $(COMPARE)/node_modules/.stamp
	@node_modules/.bin/tsc -b scripts/bench
	@exec node $(COMPARE)/compare.js

$(COMPARE)/node_modules/.stamp: $(COMPARE)/package-lock.json
	@cd $(COMPARE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf dist coverage $(COMPARE)/node_modules
	rm -f certs/*.pem certs/*.pem.new certs/*.csr
