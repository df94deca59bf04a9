# The two commands are `make book` and `make test`; `make` alone lists the rest.
PYTHON ?= python3
SCALE ?= quick
JOBS ?= 2
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help environment test-environment book test test-oldest lab lint format clean

help: ## Show this list
	@echo "Spline Theory for Deep Network Pruning"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  SCALE=cpu make book   runs the chapters on the real CIFAR-10 (under an hour each)"
	@echo "  JOBS=4 make test      tests in four processes (two unless told; 2 GB each)"
	@echo "  PYTHON=python3.12     names the Python (3.11 or later) that .venv is made from"

book: environment ## Run every chapter that changed and build the pages
	@$(RUN) -m tools.book --scale $(SCALE)

test: test-environment ## Test the library, the chapters and the built book
	@$(RUN) -m pytest --numprocesses $(JOBS)

test-oldest: test-environment ## Test the library with the oldest packages that it takes
	@$(RUN) -m tools.oldest

lab: environment ## Open the chapters in JupyterLab, with live widgets
	@$(RUN) -m jupyterlab --notebook-dir=book

lint: test-environment ## Check the style of code and notebooks
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

format: test-environment ## Put code and notebooks into that style
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

clean: ## Remove everything built; .venv and the datasets stay
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

environment test-environment:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is not here. Install Python 3.11 or later, or name one: make PYTHON=..."; exit 1; }
	@$(PYTHON) tools/environment.py $(if $(filter test-%,$@),--test)
