# make help tells what there is. Everything a machine needs is installed by `make deps` (Debian 12 or later, root, Rust).

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
SYNPROV := target/debug/synprov
INVENTORY ?= inventories/single-host.yaml

MUSL := $(shell uname -m)-unknown-linux-musl

# What building and throwaway hosts need.
PACKAGES := gcc make pkg-config libssl-dev zlib1g-dev ca-certificates \
	podman runc mmdebstrap netavark aardvark-dns iptables nftables openssl openssh-client
# What the tests and the benchmark run besides.
TEST_PACKAGES := age git shellcheck iproute2 openssh-server nginx-light haproxy systemd python3-yaml bsdutils procps jq time dpkg-dev
# What the benchmarks run besides, and which of them.
BENCH_PACKAGES := python3-venv valgrind
BENCH ?= noop core rivals first scale
# What the pages are looked at with.
BROWSER := chromium fonts-dejavu-core pngquant

.PHONY: help deps test-deps build static deb demo test unit lab faults pages lint deny proof bench bench-noop bench-core bench-rivals bench-first bench-scale clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

deps: ## install the packages that building and throwaway hosts need (root)
	@./tools/install-packages $(PACKAGES)
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: https://rustup.rs tells how to install it" >&2; exit 1; }

test-deps: deps ## install what the tests need besides (root); no service is started
	@./tools/install-packages $(TEST_PACKAGES)

build: deps ## build the program (target/debug/synprov)
	$(CARGO) build --locked

static: ## build a program that needs no library of the machine it runs on (target/MACHINE-unknown-linux-musl/release)
	@./tools/install-packages musl-tools perl gcc make
	rustup target add $(MUSL)
	$(CARGO) build --locked --release --features vendored --target $(MUSL)

deb: test-deps ## build a Debian package for this release and its later ones (target/synprov_*.deb)
	$(CARGO) build --locked --release
	./tools/build-deb target/release/synprov target

demo: build ## a real Synapse with workers on throwaway hosts, proven by a client; they stay up
	@$(SYNPROV) lab down $$(basename $(INVENTORY) .yaml) >/dev/null 2>&1 || true
	$(SYNPROV) rehearse --keep $(INVENTORY)

test: unit lab ## all tests; what is long is sampled, with its seed printed

unit: test-deps ## unit, property and command-line tests: no throwaway hosts
	$(CARGO) test --locked

lab: test-deps ## tests on throwaway hosts, a sample of the long ones (root)
	$(CARGO) test --locked --test lab_hosts --test lab_cli --test lab_single --test lab_table --test lab_drift --test lab_worlds \
		-- --ignored --nocapture --test-threads 1

pages: test-deps ## the HTML pages in a real Chromium; they and their screenshots lie in target/tmp
	@./tools/install-packages $(BROWSER)
	$(CARGO) test --locked --test html -- --ignored --test-threads 1

lint: test-deps ## formatting, clippy and shellcheck, warnings denied; cargo-deny's offline part if it is installed
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	cat src/facts/*.sh src/apply/host/*.sh | shellcheck --shell=bash --severity=warning --exclude=SC2174 -
	shellcheck --severity=warning .ci/run tools/* packaging/postinst packaging/prerm benches/*.sh docs/proof/run fuzz/run
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked --offline check licenses bans sources; \
	else echo "cargo-deny is not installed: licences and sources are checked by tests/dependencies.rs alone, advisories not at all"; fi

deny: ## licences, sources and known vulnerabilities of dependencies (cargo-deny; what it asks is in deny.toml)
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install cargo-deny --locked. Without it: cargo test --test dependencies" >&2; exit 1; }
	cargo deny --locked --offline check licenses bans sources
	cargo deny --locked check advisories

proof: build test-deps ## everything exhaustively, written to docs/proof/ with the date
	@./tools/install-packages $(BROWSER)
	./docs/proof/run

bench: test-deps ## side by side with others, on throwaway hosts; hours in all, BENCH=noop (core, rivals, first, scale) is one part
	@./tools/install-packages $(BENCH_PACKAGES)
	$(CARGO) build --locked --release
	@set -e; for part in $(BENCH); do $(MAKE) --no-print-directory bench-$$part; done

bench-noop: # plan against `ssh HOST true`
	@$(SYNPROV) lab down noop >/dev/null 2>&1 || true
	mkdir -p target/bench && cp inventories/single-host.yaml target/bench/noop.yaml
	target/release/synprov rehearse --keep --warm target/bench/noop.yaml >/dev/null
	./benches/noop.sh target/bench/noop.yaml; status=$$?; target/release/synprov lab down noop; exit $$status

bench-core: # instructions of the pure core
	$(CARGO) bench --locked --bench core

bench-rivals: # Ansible, Mitogen and pyinfra doing the same
	./benches/rivals/run.py --rtt 0,20,100
	./benches/rivals/run.py --hosts 4 --rtt 0 --phases noop --out target/bench/rivals-4
	./benches/rivals/run.py --hosts 16 --rtt 0 --phases noop --out target/bench/rivals-16

bench-first: # a first run against a shell script
	./benches/rivals/first.py

bench-scale: # 200 hosts
	./benches/scale/run.py

clean: ## remove throwaway hosts and build output
	-$(SYNPROV) lab down --all
	$(CARGO) clean
