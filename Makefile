# make demo     the app on the bundled shop (first time: makes .venv, a few minutes)
# make test     all tests          make lint   ruff and mypy          make bench   ratios against peers
# make test-postgres  all tests with the tables in a real PostgreSQL
# make growth   time and memory from 1,000 to 1,000,000 items (hours; ARGS="--minutes 20" goes on where it stopped)
# make harden   bad inputs, faults, loads and security, one line each (over an hour; ARGS=--short: minutes)
# make run      the bundled run trained again (about a minute once media are encoded)
# make studio   the bundled shop again: SEED=7 SIZE=128 OUT=.studio7 for a second world (needs Python 3.11, up to 2 hours)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STUDIO_PYTHON ?= python3.11
STUDIO_VENV ?= .venv-studio
SEED ?= 0
SIZE ?= 320
OUT ?= sample_data/studio
ARGS ?=

.PHONY: demo test test-postgres lint bench growth harden run studio

demo: $(VENV)/.app
	$(BIN)/python -m streamlit run app.py $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q $(ARGS)

test-postgres: $(VENV)/.dev
	$(BIN)/python -m pip install -q -r requirements-postgres.txt
	$(BIN)/python -m tests.postgres $(BIN)/python -m pytest -q $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: $(VENV)/.dev .venv-bench/.peers
	$(BIN)/python -m bench $(ARGS)

.venv-bench/.peers: requirements-bench.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q -r requirements-bench.txt
	touch $@

growth: $(VENV)/.dev
	$(BIN)/python -m bench.growth $(ARGS)

harden: $(VENV)/.dev
	$(BIN)/python -m pip install -q -r requirements-postgres.txt
	$(BIN)/python -m bench.harden $(ARGS)

run: $(VENV)/.app
	$(BIN)/python -m sample_data.train $(ARGS)

studio: $(STUDIO_VENV)/.studio
	$(STUDIO_VENV)/bin/python -m sample_data.generator all --seed $(SEED) --size $(SIZE) --out $(OUT) $(ARGS)

# A stamp is younger than the list it was made from, so an environment is brought up to date only when a list changed.
$(VENV)/.app: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $@

$(STUDIO_VENV)/.studio: sample_data/generator/requirements.txt
	test -x $(STUDIO_VENV)/bin/python || $(STUDIO_PYTHON) -m venv $(STUDIO_VENV)
	$(STUDIO_VENV)/bin/python -m pip install -q -r sample_data/generator/requirements.txt
	touch $@
