# webpf: `make help` lists the targets. All work from a fresh clone, as root or through sudo.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The distribution's own, for which it builds BCC and python3-venv.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
SECONDS_TO_RECORD ?= 10
DATASETTE_1 ?= 1.0a41
SPEEDSCOPE ?= 1.25.0

VENV := .venv
BIN := $(VENV)/bin
# A process that dies, or a test that hangs, ends the run: xdist would wait for ever. There are more processes than the
# two processors of a small machine, because tests often wait.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --max-worker-restart 0 --timeout 600 --timeout-method thread
# As root nothing is needed; else each command that needs root asks for it.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Under sudo, what is made here belongs to the user behind it.
AS_USER := $(if $(and $(filter 0,$(shell id -u)),$(filter-out root,$(SUDO_USER))),sudo -u $(SUDO_USER) --preserve-env=PATH)

# Checked where it is installed.
CLANG_FORMAT := $(shell command -v clang-format)
C_SOURCES := $(wildcard bpf/*.c tests/*/*.c tools/*/*.c)

PACKAGES := python3-bpfcc python3-venv
TEST_PACKAGES := $(PACKAGES) gcc libc6-dev git clang llvm libbpf-dev libelf-dev zlib1g-dev bpftool chromium sudo \
	strace dosfstools exfat-fuse exfatprogs man-db mandoc
COMPAT_PACKAGES := $(PACKAGES) gcc libc6-dev git debootstrap debian-archive-keyring qemu-system-x86 \
	qemu-system-arm cpio e2fsprogs
BUILD_PACKAGES := $(PACKAGES) gcc g++ make cmake ninja-build strace dpkg-dev debian-archive-keyring
FLEET_PACKAGES := openjdk-17-jre-headless
# What `make kernels` and `make distros` go through; `own` is the kernel that runs here.
KERNELS ?= own 5.10 6.1 6.12 7.2 6.1-arm64
DISTROS ?= bookworm trixie sid
SERVICE_DISTROS ?= bookworm trixie

.PHONY: help record install test matrix fleet check format docs wheel screenshots bench bench-versions bench-command bench-noise bench-gate bench-queries bench-week bench-fleet builds soak kernels distros service clean \
	packages test-packages compat-packages build-packages fleet-packages

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

record: install ## Install what is missing, record 10 s of this machine and of a small build, print the lifetimes
	@echo "Recording this machine for $(SECONDS_TO_RECORD) s, while a small example build runs: tools/example/build.sh"
	@$(SUDO) true # asks for the password now, not while the example runs
	@$(AS_USER) tools/example/build.sh $(SECONDS_TO_RECORD) & \
	example=$$! code=0; \
	$(SUDO) $(BIN)/webpf record --duration $(SECONDS_TO_RECORD) || code=$$?; \
	kill $$example 2> /dev/null || true; \
	exit $$code
	$(BIN)/webpf query lifetimes

install: packages $(VENV)/installed ## Install what recording needs, and webpf into .venv

test: test-packages $(VENV)/installed-dev $(VENV)/datasette-1 $(VENV)/speedscope ## Install what is missing, run every test
	@failed=0; \
	$(SUDO) $(PYTEST) -m "not kernel and not matrix and not spark" || failed=1; \
	$(SUDO) $(PYTEST) -m "kernel and not matrix and not spark" || failed=1; \
	exit $$failed

matrix: test-packages $(VENV)/installed-dev $(VENV)/datasette-1 $(VENV)/speedscope ## Run every command on bad files and in odd surroundings (by hand: long)
	$(SUDO) $(PYTEST) --dist load -q -m "matrix and not kernel"
	$(SUDO) $(PYTEST) -n 0 -q -m "matrix and kernel"

fleet: fleet-packages $(VENV)/installed-dev $(VENV)/spark ## Compare the saved queries in Spark, with two workers, with SQLite (by hand: long)
	$(BIN)/python -m pytest -q -m spark tests/fleet

check: $(VENV)/installed-dev ## Lint, check types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(CLANG_FORMAT),$(CLANG_FORMAT) --dry-run -Werror $(C_SOURCES))
	$(BIN)/python -m pytest -q tests/house

format: $(VENV)/installed-dev ## Put the code in the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(CLANG_FORMAT),$(CLANG_FORMAT) -i $(C_SOURCES))

docs: $(VENV)/installed-dev ## Write the generated pages of docs/ again, and the manual page
	$(BIN)/python -m tools.docs.generate

# setuptools copies what it finds, so nothing of an earlier build may be there. The object is never kept in the tree.
wheel: packages $(VENV)/installed-dev ## Build the wheel in dist/, with the compiled BPF programs in it (compiling needs root)
	rm -rf build bpf/process.bpf
	@trap 'rm -rf bpf/process.bpf build' EXIT; \
	if ! $(SUDO) $(BIN)/webpf compile -o bpf/process.bpf; then \
		echo "The wheel is built without the compiled BPF programs: BCC will compile them where it is installed."; \
	fi; \
	$(AS_USER) $(BIN)/python -m build --wheel --outdir dist .

screenshots: test-packages $(VENV)/installed-dev ## Record a small build, and take the pictures of docs/ (needs root)
	$(SUDO) $(BIN)/python -m tools.docs.screenshots

bench: $(VENV)/installed ## Compare speed with other recorders (needs root, gcc, linux-perf, forkstat, libbpf-tools)
	$(SUDO) $(BIN)/python -m tools.bench.compare

bench-versions: $(VENV)/installed ## Compare with another version of webpf: make bench-versions OLD=/path/to/its/webpf (needs root, gcc)
	$(SUDO) $(BIN)/python -m tools.bench.versions $(OLD)

bench-command: build-packages $(VENV)/installed ## Time real builds under webpf record and under strace (by hand: long)
	$(SUDO) env WEBPF_TOOLS_CACHE="$${WEBPF_TOOLS_CACHE:-}" $(BIN)/python -m tools.bench.command

bench-noise: $(VENV)/installed ## Count how often diff --fail-if fails equal builds, and finds slower ones (needs root, gcc; by hand: long)
	$(SUDO) $(BIN)/python -m tools.bench.noise

bench-gate: build-packages $(VENV)/installed ## Gate ten made-up pull requests of a real project as docs/ci.md says (needs root; by hand: long)
	$(SUDO) env WEBPF_TOOLS_CACHE="$${WEBPF_TOOLS_CACHE:-}" $(BIN)/python -m tools.bench.gate

bench-queries: $(VENV)/installed ## Time every saved query on a recording of a million processes (1 GB of disk)
	$(BIN)/python -m tools.bench.queries

bench-week: $(VENV)/installed ## Time every saved query on an hour of a week with 10 million processes (3 GB of disk, long)
	$(BIN)/python -m tools.bench.week

bench-fleet: $(VENV)/installed-dev $(VENV)/spark fleet-packages ## Time saved queries over 100 made-up hosts, in each engine and SQLite (by hand: 10 GB of disk)
	$(BIN)/python -m tools.bench.fleet

builds: build-packages test-packages $(VENV)/installed-dev ## Record real builds, compare with their logs (by hand; root)
	$(SUDO) env WEBPF_TOOLS_CACHE="$${WEBPF_TOOLS_CACHE:-}" $(BIN)/python -m tools.builds.builds

soak: $(VENV)/installed ## Record a steady load for 30 minutes: memory, losses, CPU (needs root, gcc, 1 GB of disk)
	$(SUDO) $(BIN)/python -m tools.bench.soak

kernels: compat-packages $(VENV)/installed-dev ## Run the truth suite under KERNELS in qemu (by hand: long)
	$(SUDO) env WEBPF_TOOLS_CACHE="$${WEBPF_TOOLS_CACHE:-}" $(BIN)/python -m tools.compat.kernels $(KERNELS)

distros: compat-packages $(VENV)/installed-dev ## Run the truth suite in chroots of DISTROS, with and without BCC (by hand: long)
	$(SUDO) env WEBPF_TOOLS_CACHE="$${WEBPF_TOOLS_CACHE:-}" $(BIN)/python -m tools.compat.distros $(DISTROS)

service: compat-packages $(VENV)/installed-dev ## Boot Debian with systemd in qemu: install the service, reboot, cut the power (by hand: long)
	$(SUDO) env WEBPF_TOOLS_CACHE="$${WEBPF_TOOLS_CACHE:-}" $(BIN)/python -m tools.compat.service $(SERVICE_DISTROS)

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

packages: ; @$(call apt_install,$(PACKAGES))
test-packages: ; @$(call apt_install,$(TEST_PACKAGES))
compat-packages: ; @$(call apt_install,$(COMPAT_PACKAGES))
build-packages: ; @$(call apt_install,$(BUILD_PACKAGES))
fleet-packages: ; @$(call apt_install,$(FLEET_PACKAGES))

$(VENV)/installed: pyproject.toml
	$(call make_venv,.)
	$(AS_USER) touch $@

$(VENV)/installed-dev: pyproject.toml
	$(call make_venv,.[dev])
	$(AS_USER) touch $(VENV)/installed $@

# The next Datasette, beside the one that is installed: the tests try the plugin in both.
$(VENV)/datasette-1: pyproject.toml $(VENV)/installed-dev
	[ -x $@/bin/python ] || $(AS_USER) $(PYTHON) -m venv $@
	$(AS_USER) $@/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'datasette==$(DATASETTE_1)' --editable '.[perfetto]'
	$(AS_USER) touch $@

$(VENV)/spark: pyproject.toml $(VENV)/installed-dev
	$(AS_USER) $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[spark]'
	$(AS_USER) touch $@

# With its own schema of its files, and all that a browser needs to open one.
$(VENV)/speedscope: Makefile $(VENV)/installed-dev
	$(AS_USER) mkdir -p $@
	cd $@ && $(AS_USER) env PATH="$(CURDIR)/$(BIN):$$PATH" npm pack --silent speedscope@$(SPEEDSCOPE) > /dev/null
	$(AS_USER) tar -xzf $@/speedscope-$(SPEEDSCOPE).tgz -C $@
	$(AS_USER) touch $@

define make_venv
	[ -x $(BIN)/python ] || $(AS_USER) $(PYTHON) -m venv $(VENV)
	$(AS_USER) $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'
endef

# Installs those of the packages that are missing. On a system without apt it says what is needed and goes on.
define apt_install
	missing=(); \
	if ! command -v dpkg-query > /dev/null; then \
		echo "No apt here: see README.md for the packages of your distribution."; exit 0; \
	fi; \
	for package in $(1); do \
		dpkg-query --show --showformat '$${db:Status-Status}\n' $$package 2> /dev/null | grep -qx installed || missing+=($$package); \
	done; \
	if [ $${#missing[@]} -gt 0 ]; then \
		echo "Installing $${missing[*]}"; \
		$(SUDO) apt-get update -qq; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" > /dev/null; \
	fi
endef
