# make demo    what ocibuild does, on this machine, in seconds
# make test    linters, types, import contracts and the whole test suite
#
# Both make .venv first, with PYTHON (3.11 or newer), and need nothing else but a Python package registry.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# How many processes share the tests: one more than processors, since tests wait for disks and clocks, too.
JOBS ?= $(shell expr $$(nproc) + 1)
# A file is run by one of them, those that take longest first; so what its tests share is made once.
PARALLEL := --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
# Tests start Python thousands of times: it must not compile the package each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test clean
.NOTPARALLEL:

demo: $(VENV)/.installed
	@$(BIN)/python -m demo

test: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.support.setup_peers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml
	$(make-environment)
	$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(make-environment)
	$(PIP) install --editable '.[dev]'
	@touch $(VENV)/.installed $@

# One that works is kept, whichever Python made it.
define make-environment
@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'ocibuild needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }; \
	echo 'Making $(VENV).'; \
	$(PYTHON) -m venv --clear $(VENV); \
}
endef
