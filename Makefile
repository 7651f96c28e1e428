# Bare `make` explains itself: the text after ## is what it prints.
.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: help setup demo test check format bench chaos soak long clean

help: ## this list
	@echo "Umbel: background jobs for Python web applications, on Celery."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "New here? 'make demo'. It needs Python 3.11 to 3.14 with its venv module, and nothing else."
	@echo "Another Python: make demo PYTHON=/path/to/python3.12"

setup: ## everything for working on Umbel, in .venv
	@sh scripts/setup dev

demo: ## set up, then a campaign of 1,000 e-mails to a local inbox (Ctrl-C stops it)
	@sh scripts/setup services
	@exec $(PY) -m services.demo

test: setup ## set up, then all tests: the parallel ones, then those that want the machine alone
	@sh scripts/install-test-servers
	@sh scripts/run-tests

check: setup ## lint, types, the arrows between the packages, the documentation
	@sh scripts/check

format: setup ## sort imports and format the code
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format .

bench: setup ## Umbel beside its peers, one line a figure (QUICK=1: fifteen minutes)
	@exec $(PY) -m benchmarks

chaos: setup ## workers and Redis killed and networks cut, under a hundred thousand and a million jobs
	@exec $(PY) -m tests.chaos

soak: setup ## twenty minutes at full rate on Redis: memory, descriptors and keys must not grow
	@exec $(PY) -m tests.chaos.soak

long: setup ## a job of ten minutes beside plain Celery's, and a million jobs for tomorrow (half an hour)
	@exec $(PY) -m tests.long

clean: ## remove .venv, caches and built files
	@rm -rf .venv .bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
