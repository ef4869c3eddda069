# make run [PHOTOS=folder]     start the daemon in the foreground; with WEB=1 the page with your photos, too
# make test [ARGS=…]           run the whole test suite
# make                         what a change must pass: lint, types, test
# make fmt | e2e | bench       format the code; only the tests with real processes; measure
# make flake [N=10] [ARGS=…]   run the tests N times, in random order, every second time on a busy machine
# make lowest                  run the unit tests with the oldest dependencies that pyproject.toml allows
# make stateful                an hour of kills, power cuts, floods and random operations; as root, because it mounts
# make fuzz [PIXKIN_SEED=…]    hours of mutated photos, messages, configurations, indexes and journals
# make api [N=50]              ask the API of the page everything that openapi.json allows, and what it does not
# make golden                  take new pictures of the pages, to which the tests compare them: look at each
# make docs                    make a site of the documents, in the folder site
# make manuals                 write the man pages and the completions of the shells anew
# make offline                 run the whole test suite where there is no network
# make soak                    ten minutes of use of the daemon, and of the page, after which nothing has grown (PIXKIN_SOAK_MINUTES=120 for two hours)
# make release                 all that is published, in dist: the package, its parts and licences, and the hashes of all
# make sbom | audit            what a release brings along: versions and licences; known vulnerabilities of these versions
#
# pip installs everything into .venv, and again only when pyproject.toml has changed.

PYTHON ?= python3
PHOTOS ?=
WEB ?=
ARGS ?=
N ?= 10
export PHOTOS WEB
export PIP_DISABLE_PIP_VERSION_CHECK = 1

BIN := .venv/bin
DENO := DENO_NO_UPDATE_CHECK=1 $(BIN)/deno
SCRIPTS := --config tests/web/deno.json client/pixkin/web/static/js
DEMO := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pixkin/demo
# The real photographs in scikit-image's wheel.
SAMPLES := astronaut brick camera chelsea clock_motion coffee coins grass gravel hubble_deep_field moon \
	motorcycle_left motorcycle_right retina rocket

.DELETE_ON_ERROR:
.PHONY: all run demo test lint types fmt e2e flake lowest stateful fuzz api golden docs manuals offline soak release releasable package sbom audit bench

all: lint types test

# `exec`: Ctrl-C and SIGTERM reach the daemon itself, not a shell around it.
# Without PHOTOS: the folders of the configuration, or else the pictures folder if a photo is in it, or else samples.
# A plain `make`, because `make -n` would run a line that contains $(MAKE).
# The page ends with the daemon: `exec` makes the daemon its parent.
run: .venv/.daemon
	@case "$$SHELL" in */fish) kind=.fish;; esac; \
	echo "in another terminal, this puts pixkin on the PATH: . '$(abspath $(BIN))/activate$$kind'"; \
	if [ -n "$$WEB" ]; then setpriv --pdeathsig TERM $(BIN)/pixkin web & \
	else echo "and then this shows your photos in a browser: pixkin web"; fi; \
	if [ -n "$$PHOTOS" ]; then exec $(BIN)/pixkind "$$PHOTOS"; fi; \
	if $(BIN)/python -c 'import os.path, sys; \
	    from pixkin.locations import config_file; \
	    from pixkind.config import has_photos, pictures_folder; \
	    sys.exit(not os.path.exists(config_file()) and not has_photos(pictures_folder()))'; \
	then exec $(BIN)/pixkind; fi; \
	make --no-print-directory demo && exec $(BIN)/pixkind "$(DEMO)"

# Copies, not links: pixkind ignores links.
demo: .venv/.demo
	@mkdir -p "$(DEMO)"
	@data=$$($(BIN)/python -c 'import skimage; print(skimage.__path__[0])')/data; \
	for name in $(SAMPLES); do \
	    for photo in "$$data/$$name".*; do [ ! -f "$$photo" ] || cp -pu "$$photo" "$(DEMO)/"; done; \
	done
	@echo "no photo is in the pictures folder: using sample photos in $(DEMO)"

# A test mostly waits for processes, so more tests run at a time than there are cores. Those of a module stay together, as far
# as every worker has some to do: what a module sets up for its tests is dear.
PARALLEL := -n $(shell echo $$(($$(nproc) + 4))) --dist worksteal

# The tests start a thousand processes, and each would compile our sources anew where the environment forbids to keep that.
test lowest e2e flake offline stateful fuzz soak: export PYTHONDONTWRITEBYTECODE :=

test: .venv/.dev
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

e2e: .venv/.dev
	$(BIN)/python -m pytest -m e2e $(ARGS)

flake: .venv/.dev
	$(BIN)/python tests/flake.py $(N) $(PARALLEL) $(ARGS)

lowest: .venv/lowest/.made
	.venv/lowest/bin/ruff check .
	.venv/lowest/bin/lint-imports --no-cache
	.venv/lowest/bin/python -m pytest $(PARALLEL) -m 'not e2e' $(or $(ARGS),tests/daemon tests/client/cli tests/client/protocol tests/client/test_client.py)

# The tests use small figures; these are the large ones, and each can be overridden. There are no time limits:
# tests/stateful/conftest.py.
stateful: export PIXKIN_STATEFUL = 1
stateful: export PIXKIN_MINUTES ?= 20
stateful: export PIXKIN_KILLS ?= 200
stateful: export PIXKIN_ROUNDS ?= 1000
stateful: export PIXKIN_CUTS ?= 20
stateful: export PIXKIN_FROZEN ?= 20000
stateful: export PIXKIN_BURST ?= 40000
stateful: .venv/.dev
	$(BIN)/python -m pytest -o faulthandler_timeout=0 -rP tests/stateful tests/e2e/test_store.py tests/e2e/test_flood.py \
	    tests/e2e/test_power.py $(ARGS)

# As for `stateful`. A failing test names the files and numbers, and makes the same ones again with the same seed.
fuzz: export PIXKIN_FUZZ = 1
fuzz: export PIXKIN_SEED ?= $(shell date +%s)
fuzz: export PIXKIN_FILES ?= 50000
fuzz: export PIXKIN_MESSAGES ?= 1000000
fuzz: export PIXKIN_TEXTS ?= 100000
fuzz: export PIXKIN_LINES ?= 20000
fuzz: export PIXKIN_SNAPSHOTS ?= 5000
fuzz: export PIXKIN_GUIDED_S ?= 1200
fuzz: .venv/.dev
	$(BIN)/python -m pytest -o faulthandler_timeout=0 -rP tests/fuzz tests/e2e/test_protocol.py $(ARGS)

api: .venv/.api
	$(BIN)/python -m tests.api $(N)

golden: .venv/.dev
	PIXKIN_GOLDEN=1 $(BIN)/python -m pytest tests/web/test_golden.py $(ARGS)

docs: .venv/.dev
	$(BIN)/sphinx-build -W --quiet -b html docs site

manuals: .venv/.dev
	$(BIN)/python docs/manuals.py

# A new network namespace has no interface that is up, not even that of 127.0.0.1. Only root may make one alone.
offline: .venv/.dev
	unshare --net $(if $(filter-out 0,$(shell id -u)),--map-current-user) $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# What it measured lies in the folder soak/. As root, a drive comes and goes too.
soak: export PIXKIN_SOAK_MINUTES ?= 10
soak: .venv/.dev
	$(BIN)/python -m pytest -o faulthandler_timeout=0 -s tests/stateful/test_soak.py tests/stateful/test_page_soak.py $(ARGS)

release: releasable package sbom
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	cd dist && sha256sum *.whl *.tar.gz sbom.cdx.json licences.txt > SHA256SUMS

releasable:
	@[ -z "$$(git status --porcelain)" ] || { echo "no release: the working tree has changes; commit them first" >&2; exit 1; }
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); grep -qF "## [$$version]" CHANGELOG.md || { \
	    echo "no release: CHANGELOG.md has no heading for version $$version: ## [$$version]" >&2; exit 1; }

# Of the last commit, so that a commit makes the same bytes everywhere: what git ignores is not in them, and the time is its own.
package: .venv/.release
	rm -rf dist/pixkin-* .venv/source
	mkdir -p dist .venv/source
	git archive HEAD | tar -x -C .venv/source
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist .venv/source

# The versions are those that are installed here: those that the tests passed with.
sbom: .venv/.release
	rm -rf .venv/runtime
	$(BIN)/python -m venv --without-pip .venv/runtime
	$(BIN)/python .ci/runtime .venv/runtime/lib/python*/site-packages
	@mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json \
	    .venv/runtime
	@# pip-licenses prints one text a package; some have the texts of the libraries in them in further files.
	{ $(BIN)/pip-licenses --python .venv/runtime/bin/python --with-system --with-urls && \
	    find -L .venv/runtime/lib -type f \( -iname '*licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) -print0 | \
	    sort -z | xargs -0 tail -n +1; } > dist/licences.txt

# Asks the vulnerability database of the package index. What it cannot ask about is a failure, too.
audit: sbom
	$(BIN)/pip-audit --strict --path .venv/runtime/lib/python*/site-packages

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(DENO) lint --quiet $(SCRIPTS)

# Of the page's scripts: TypeScript reads the types in their comments.
types: .venv/.dev
	$(BIN)/mypy
	$(DENO) check --quiet --no-remote --no-npm --no-lock $(SCRIPTS)

fmt: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.bench
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "pixkin needs Python 3.11 or newer, and \"$(PYTHON)\" is not; name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

# [light] is enough to try pixkin, and a twentieth of [daemon].
.venv/.daemon: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --editable '.[light,web]'
	@touch $@

.venv/.demo: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --editable '.[light,web,demo]'
	@touch $@ .venv/.daemon

.venv/.bench: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --editable '.[daemon,web,demo,bench]'
	@touch $@ .venv/.daemon .venv/.demo

.venv/.release: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --editable '.[daemon,demo,dev,release]'
	@touch $@ .venv/.daemon .venv/.demo .venv/.dev

.venv/.api: pyproject.toml | .venv/.dev
	$(BIN)/python -m pip install --editable '.[daemon,demo,dev,api]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --editable '.[daemon,demo,dev]'
	@touch $@ .venv/.daemon .venv/.demo

# All that has a lower bound is there at that bound. The rest is .venv's, by hard links: a second torch would be 5 GB,
# and the worker, which is confined, reads nothing outside of its own environment.
.venv/lowest/.made: pyproject.toml .ci/lowest | .venv/.dev
	rm -rf .venv/lowest
	$(PYTHON) -m venv .venv/lowest
	cp -alf .venv/lib .venv/lowest/
	$(BIN)/python .ci/lowest torch torchvision > .venv/lowest/constraints.txt
	PIP_CONSTRAINT=.venv/lowest/constraints.txt .venv/lowest/bin/python -m pip install --editable '.[daemon,demo,dev]'
	@touch $@
