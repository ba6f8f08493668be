# Two commands: `make demo` and `make test`. Both make .venv when it is missing and bring it up to date when
# pyproject.toml or constraints.txt changed (after a `git pull`, say).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt

.PHONY: demo test lint types unit docs clean

demo: $(VENV)/.dlkit
	$(BIN)/dlkit train autoencoder --denoise

test: lint types unit

lint: $(VENV)/.dlkit-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dlkit-test
	$(BIN)/mypy

# One process per core, four at most: each has a torch of its own. Tests of a file share what they set up.
unit: $(VENV)/.dlkit-test
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

docs: $(VENV)/.dlkit
	$(BIN)/python scripts/reference.py

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "dlkit needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dlkit: $(VENV)/bin/pip $(PINS)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dlkit-test: $(VENV)/bin/pip $(PINS)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@ $(VENV)/.dlkit

clean:
	rm -rf $(VENV) build dist
