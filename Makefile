# The commands of this project.  Each is safe to repeat and quick when nothing changed; the work is in scripts/.
#
#   make PYTHON=python3.12 test    uses that Python for .venv
#   make test ARGS="-k spark"      hands arguments to pytest

PYTHON ?= python3
ARGS ?=

# Hundreds of processes are started by tests and benchmarks; without it each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench matrix soak conformance coverage clean venv-demo venv-dev npm system

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv-demo  ## run the chat demo and print its address (ARGS="--port 8080")
	@.venv/bin/python -m primus_gevent demo $(ARGS)

test: venv-dev npm system  ## every check: format, lint, types, and the tests in Python and JavaScript
	@scripts/test $(ARGS)

lint: venv-dev  ## format check, lint and strict types
	@scripts/lint

format: venv-dev  ## format the code and mend what lint can mend
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

bench: venv-dev  ## run every benchmark and record the results (ARGS="--quick" for a look)
	@scripts/npm benchmarks
	@for question in echo broadcast connect_rate idle_memory engineio_echo frameworks_echo polling; do \
	  .venv/bin/python benchmarks/$$question.py --json benchmarks/results/$$question.json $(ARGS) || exit 1; echo; \
	done
	@.venv/bin/python benchmarks/library_size.py --json benchmarks/results/library_size.json $(if $(findstring --quick,$(ARGS)),--quick)

matrix: venv-dev npm system  ## play the interop suite and write its support tables into the docs
	@scripts/matrix

soak: venv-dev npm system  ## the long runs that look for leaks and drift
	@.venv/bin/python -m pytest -m soak --timeout 3600 $(ARGS)

conformance: venv-dev  ## the Autobahn test suite only
	@AUTOBAHN_REQUIRED=1 .venv/bin/python -m pytest -m conformance $(ARGS)

coverage: venv-dev npm system  ## the Python tests with a coverage report
	@.venv/bin/coverage run -m pytest $(ARGS)
	@.venv/bin/coverage report

clean:  ## remove everything that can be made again
	rm -rf .venv build dist ./*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
	rm -rf benchmarks/build benchmarks/node_modules benchmarks/*/node_modules tests/*/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv-demo:
	@PYTHON="$(PYTHON)" scripts/venv demo

venv-dev:
	@PYTHON="$(PYTHON)" scripts/venv dev

npm:
	@scripts/npm tests/interop tests/js

system:
	@scripts/system
