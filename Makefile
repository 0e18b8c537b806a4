# Every target does its own set-up: `make study` and `make test` work in a fresh clone with nothing installed but Python 3.11 and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := src space profilers search studies tests docs

.PHONY: study test test-slow lint types docs reproduce bench tools clean

study: $(READY)
	$(BIN)/paredown run studies/quickstart.toml
	$(BIN)/paredown front runs/quickstart
	$(BIN)/paredown export runs/quickstart --pick knee -o runs/quickstart/pick --force

# One thread: networks of the tests are tiny, and threads that wait for each other by spinning take minutes beside any other work. Two
# processes, a file to each at a time: fixtures of a file are made once.
test: lint tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: $(READY) tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow

lint: types
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy build/typing/paredown
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(MAKE) -s docs

# What tests are held against and pip does not have: a browser for the report, NIST's scoring programs. Without them those tests are skipped,
# with the reason; an administrator's session of Debian gets them here.
tools:
	@{ command -v chromium && test -x /usr/lib/sctk/bin/sc_stats; } > /dev/null || test "$$(id -u)" != 0 || ! command -v apt-get > /dev/null \
	    || { apt-get update -qq && apt-get install -qq -y chromium sctk; } > /dev/null 2>&1 || echo "chromium or sctk are not there: tests that need them are skipped"

# mypy and pyright do not follow the package mapping of pyproject.toml: give them a tree of links in which the folders stand where they import from.
types: $(READY)
	rm -rf build/typing
	mkdir -p build/typing/paredown
	ln -s $(CURDIR)/src/paredown/* build/typing/paredown/
	ln -s $(CURDIR)/space $(CURDIR)/profilers $(CURDIR)/search build/typing/paredown/

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

# The tables and figures of the three papers, about an hour in all; rows that train need the train split of the bundled model.
reproduce: $(READY)
	$(BIN)/python -m studies.on_device_st
	$(BIN)/python -m studies.iwslt2025
	$(BIN)/python -m studies.conformer_4bit

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

$(READY): pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[models,recover,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps espnet==202511
	touch $@

clean:
	rm -rf build runs .mypy_cache .ruff_cache .pytest_cache
