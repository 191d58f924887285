# What a person or CI runs. The first use of a target makes the virtual environment it needs.

.DEFAULT_GOAL := help
.PHONY: help demo test seeds check format constraints clean

# An executable of that name is no proof: a version manager leaves ones that only print an error.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& echo $$python && break; done)

VENV := .venv
VENV_DEMO := .venv-demo

# pip reads these for the build's own dependencies too; its option covers the installed ones only.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := $(PIP_CONSTRAINT)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# An environment active in the caller's shell must not leak into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# Arguments for pytest: make test ARGS="-k router -x"
ARGS ?=

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: $(VENV_DEMO)/stamp  ## compile the example's topology and run its tasks
	$(VENV_DEMO)/bin/python examples/media/demo.py

test: $(VENV)/stamp  ## run the tests, against brokers of their own
	@tests/nodes/install.sh
	@tests/nodes/trees.sh
	$(VENV)/bin/pytest -n 2 --dist loadgroup $(ARGS)

seeds: $(VENV)/stamp  ## run many random cases, other ones for each commit
	ROUTEWRIGHT_SEED=$${ROUTEWRIGHT_SEED:-$$(git rev-parse HEAD)} $(VENV)/bin/pytest -n 2 -m seeds $(ARGS)

check: $(VENV)/stamp  ## lint, formatting, types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

format: $(VENV)/stamp  ## format the code and mend what ruff can mend
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format

constraints:  ## pin the newest versions that pyproject.toml allows
	$(call make-venv,.venv-constraints)
	PIP_CONSTRAINT= PIP_BUILD_CONSTRAINT= .venv-constraints/bin/pip install --quiet -e '.[dev,bench]'
	.venv-constraints/bin/pip freeze --all --exclude pip --exclude-editable > constraints.txt
	rm -rf .venv-constraints

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(VENV_DEMO) build dist src/*.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find bench compiler examples runtime src tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/stamp: pyproject.toml constraints.txt
	$(call make-venv,$(VENV))
	$(VENV)/bin/pip install --quiet -e '.[dev]'
	@touch $@

$(VENV_DEMO)/stamp: pyproject.toml constraints.txt
	$(call make-venv,$(VENV_DEMO))
	$(VENV_DEMO)/bin/pip install --quiet -e '.[examples]'
	@touch $@

# Made anew each time, so that a package no longer wanted is gone.
define make-venv
@test -n "$(PYTHON)" || { echo "make: needs Python 3.11 or newer with venv, in the path" \
	"(on Debian: apt-get install python3-venv) or as PYTHON=/path/to/python3" >&2; exit 1; }
$(PYTHON) -m venv --clear $(1)
endef
