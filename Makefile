# Does all the set-up on a machine that has python3 (3.11 or newer), make and git. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The order of what a target needs matters (packages before .venv); tox does what can be done side by side.
.NOTPARALLEL:

PYTHON ?= python3
export PYTHON
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
TOX := $(VENV)/bin/tox

.PHONY: help demo test lint unit docs integration lowest accuracy bench upgrade chaos soak screenshot audit clean debian-demo debian-docs debian-test

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /    make \1\t/p' Makefile | expand -t 24

demo: debian-demo $(VENV)/.downtimer ## measure a simulated upgrade on this machine and show the report (a minute)
	$(VENV)/bin/downtimer demo

test: debian-test $(VENV)/.tox ## all checks and tests, with a real Keystone and a real InfluxDB
	$(TOX) run-parallel --parallel 2 --parallel-no-spinner -e lint,unit,docs
	$(TOX) run -e untimed,integration,lowest

lint: debian-demo $(VENV)/.tox ## style, format and types
	$(TOX) run -e lint

unit: debian-demo $(VENV)/.tox ## tests of pure code, in seconds
	$(TOX) run -e unit

docs: debian-docs $(VENV)/.tox ## the documentation: doc/_build/html/index.html and doc/_build/man/downtimer.1
	$(TOX) run -e docs

integration: debian-test $(VENV)/.tox ## tests with real processes and servers
	$(TOX) run -e untimed,integration

lowest: debian-test $(VENV)/.tox ## the lowest versions that pyproject.toml declares
	$(TOX) run -e lowest

accuracy: debian-test $(VENV)/.tox ## how accurate the figures are: tables, also in doc/accuracy.rst (a quarter of an hour)
	$(TOX) run -e accuracy

bench: debian-test $(VENV)/.tox ## what it costs, against peers: tables, also in doc/benchmarks.rst
	$(TOX) run -e bench

upgrade: debian-test $(VENV)/.tox ## a real Keystone upgrade, measured: also in doc/keystone-upgrade.rst (seven minutes)
	$(TOX) run -e upgrade

chaos: debian-test $(VENV)/.tox ## faults of all kinds, many times: a table, also in doc/reliability.rst (an hour)
	$(TOX) run -e chaos

soak: debian-test $(VENV)/.tox ## ten minutes with flapping targets: does anything grow with time?
	$(TOX) run -e soak

screenshot: debian-test $(VENV)/.tox ## the demo's report in a browser: doc/images/report.png
	$(TOX) run -e screenshot

audit: $(VENV)/.tox ## look up known vulnerabilities of the packages that we need
	$(TOX) run -e audit

clean: ## remove all that make made here (not the Debian packages, nor ~/.cache/downtimer-tests)
	rm -rf $(VENV) .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist test-output *.egg-info doc/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

debian-demo:
	@tests/setup/debian-packages python3-venv util-linux -o iproute2

debian-docs:
	@tests/setup/debian-packages python3-venv man-db

debian-test:
	@tests/setup/debian-packages python3-venv util-linux iproute2 iputils-ping openssl strace systemd tmux man-db influxdb \
	    victoria-metrics haproxy fping prometheus-blackbox-exporter mariadb-server-core mariadb-client-core \
	    chromium chromium-driver

# pip is run again when the dependencies may have changed; the code itself is used where it is (--editable).
$(VENV)/.downtimer: $(VENV)/.python pyproject.toml
	@echo "Installing downtimer and the Python packages that it needs into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.tox: $(VENV)/.python Makefile
	@echo "Installing tox into $(VENV): it makes an environment for each kind of test under .tox"
	@$(PIP) install 'tox>=4.22'
	@touch $@

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "downtimer needs Python 3.11; $(PYTHON) is $$($(PYTHON) --version). Try make PYTHON=python3.11" >&2; exit 1; }
	@echo "Making a Python environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@
