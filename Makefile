# Two commands: `make demo` and `make test`; each sets up .venv first. Python 3.11 or newer is all they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types suite clean

.venv/base: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit('Skipwise needs Python 3.11 or newer; set PYTHON=python3.11' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch .venv/base

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch .venv/dev

demo: .venv/base
	$(BIN)/python examples/demo.py

test: lint types suite

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev
	$(BIN)/pyright

suite: .venv/dev
	$(BIN)/python -m pytest -n auto --dist loadgroup -rs
	if $(BIN)/python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then $(BIN)/python -m pytest -m gpu -rs; fi

clean:
	rm -rf .venv .pytest_cache .ruff_cache
