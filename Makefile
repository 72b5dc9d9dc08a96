# The two commands of the README are `make demo` and `make test`. All targets share a build cache below
# ~/.cache/roomkeeper (scripts/cargo.sh); plain cargo works too and compiles RocksDB itself.
CARGO := scripts/cargo.sh
DATA ?= roomkeeper-dev
CHAOS := $(CARGO) run --locked -p chaos-tests --bin chaos-tests --
DEV ?= --nodes 3 --port 7700 --data $(DATA)

.PHONY: demo build test lint unit e2e chaos soak timing sabotage fix

# A three-node cluster on this machine; prints the address to open.
demo:
	$(CARGO) run --locked --release --bin roomkeeper -- dev $(DEV)

# The binary, where plain cargo would put it.
build:
	$(CARGO) build --locked --release --bin roomkeeper
	mkdir -p target/release
	cp -f "$${ROOMKEEPER_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/roomkeeper}/target/release/roomkeeper" target/release/
	@echo "built target/release/roomkeeper"

# Everything that has to pass: format, lints, unit and integration tests, and tests on real processes.
test: lint unit e2e

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit:
	$(CARGO) test --locked --workspace --exclude chaos-tests

# Real processes are killed here: one cluster at a time, or two cores are too few.
e2e:
	$(CARGO) build --locked --bin roomkeeper
	$(CARGO) test --locked -p chaos-tests -- --test-threads=1
	rm -rf chaos-runs/short
	$(CHAOS) suite --short --out chaos-runs/short

# Every scenario, once: about eight minutes. Needs root for partitions, power cuts and disk faults; skips them without.
chaos:
	$(CARGO) build --locked --bin roomkeeper
	rm -rf chaos-runs/suite
	$(CHAOS) suite --out chaos-runs/suite

# Faults at random for as long as asked: make soak DURATION=60m
DURATION ?= 60m
soak:
	$(CARGO) build --locked --bin roomkeeper
	$(CHAOS) soak --duration $(DURATION)

# How long clients wait, in a release build: about fifteen minutes.
timing:
	$(CARGO) build --locked --release --bin roomkeeper
	$(CARGO) run --locked --release -p chaos-tests --bin chaos-tests -- timing

# Every bug that can be put in on purpose is built, run and has to be caught; the table goes to docs/chaos.md.
sabotage:
	rm -rf chaos-runs/sabotage
	$(CARGO) run --locked -p chaos-tests --bin chaos-tests -- sabotage

fix:
	$(CARGO) fmt --all
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty
