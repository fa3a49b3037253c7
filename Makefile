# `make demo` and `make test` do everything on a fresh machine; a second run starts at once. Windows: see docs/install.md.
# `make demo PYTHONS=python3.12` chooses the interpreter of a new .venv.

PYTHONS := python3 python3.13 python3.12 python3.11 python3.10
BIN := .venv/bin
# Bytecode is made for what is imported, when it is: to compile all of torch takes longer than to install it.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt

# Stamps: what was installed, and that neither the requirements nor the constraints have changed since.
RUN := .venv/.installed-run
DEV := .venv/.installed-dev

.PHONY: help demo test coverage check docs soak bench wheel clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(RUN) ## the main job: webcam or built-in demo, in a window or (no display) into recordings/
	$(BIN)/livecnn

test: $(DEV) ## every test, two at a time
	$(BIN)/pytest -q -n 2 --dist worksteal

coverage: $(DEV) ## the same, counting which branches they take; somewhat slower
	$(BIN)/pytest -q --cov -n 2 --dist worksteal

check: $(DEV) ## lint, format, types, direction of the imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV) ## the pages of docs and the API reference as a site, in site/index.html; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

soak: $(DEV) ## a show of ten minutes in which everything goes wrong (more: make soak SOAK="--hours 8")
	$(BIN)/python benchmarks/soak.py $(SOAK)

bench: $(DEV) ## speed: a tick against two peers, the probe against the bare network; JSON
	$(BIN)/python benchmarks/live_tick.py
	$(BIN)/python benchmarks/probe.py

wheel: $(RUN) ## dist/livecnn-*.whl
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir dist .

clean: ## remove what set-up, tests and builds left
	rm -rf .venv dist build site htmlcov .coverage* .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis

# bin/pip is what venv makes last: an interrupted attempt is taken up again.
$(BIN)/pip:
	@for python in $(PYTHONS); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
	    echo "First set-up: .venv with $$($$python --version), then the packages: some minutes, 1.5 GB or more on disk."; \
	    exec $$python -m venv .venv; \
	  fi; \
	done; \
	echo "livecnn needs Python 3.10 or newer with its venv module; looked for: $(PYTHONS)." >&2; \
	echo "Debian, Ubuntu: sudo apt install python3 python3-venv. Other systems: install Python, then run make again." >&2; \
	exit 1

$(RUN): pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP_INSTALL) -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(RUN) $@
