# make demo | test | coverage | bench | accuracy | networks | compression | lint    each makes its own .venv first
# PYTHON picks the interpreter that .venv is made with; another one needs `make clean` first.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := setup.py $(wildcard cython_ext/*.pyx cython_ext/include/*.h sketches/_ext/*.pxd)

.PHONY: demo test coverage bench bench-quick accuracy networks networks-quick compression compression-quick lint docs clean

demo: .venv/demo .venv/built  ## the main job on data that comes with a package
	@echo "Running the demo: a stream and a network, each answer beside the exact one; about a minute."
	$(BIN)/sketches demo

test: lint  ## everything that can fail: lint, types, stubs, tests
	@echo "Running all tests: twins, contract, statistics, hostile bytes, packaging; a few minutes."
	$(BIN)/python -m pytest -n auto --dist worksteal

coverage: .venv/test .venv/built  ## the lines that no test runs, of which there may be one in twenty
	@echo "Running all tests and counting lines, which takes half as long again."
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-fail-under=95

lint: .venv/test .venv/built  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint cython_ext sketches/_ext/*.pxd
	$(BIN)/python -m mypy
	$(BIN)/python -m mypy.stubtest sketches._ext --mypy-config-file pyproject.toml \
		--allowlist tests/stubtest-allowlist.txt --ignore-unused-allowlist

bench: .venv/bench .venv/built  ## speed beside peers, the exact answer and the floor
	@echo "Timing every sketch beside its peers; about twenty minutes. Needs 4 GB of memory, 4 GB of disk, a C compiler."
	$(BIN)/python -m benchmarks.speed

bench-quick: .venv/bench .venv/built  ## the same with shorter streams
	@echo "Timing every sketch beside its peers on short streams; about three minutes."
	$(BIN)/python -m benchmarks.speed --quick

accuracy: .venv/bench .venv/built  ## error against bytes beside peers, theory and the limit
	@echo "Measuring the errors of every sketch beside its peers; about fifteen minutes on two processors."
	$(BIN)/python -m benchmarks.accuracy

networks: .venv/bench .venv/built  ## pruned networks and statistics' cost beside peers
	@echo "Training, pruning and watching networks beside peers; about an hour on two processors."
	$(BIN)/python -m benchmarks.networks

compression: .venv/bench .venv/built  ## networks in few bytes, beside the literature
	@echo "Training and compressing networks; a few hours on two processors."
	$(BIN)/python -m benchmarks.compression

compression-quick: .venv/bench .venv/built  ## the same with little training, of one seed
	@echo "Training and compressing networks shortly; some minutes."
	$(BIN)/python -m benchmarks.compression --quick

networks-quick: .venv/bench .venv/built  ## the same with little training, of one seed
	@echo "Training, pruning and watching networks shortly; some minutes."
	$(BIN)/python -m benchmarks.networks --quick

docs: .venv/test .venv/built  ## the generated pages
	$(BIN)/python -c 'from sketches.core import wire; print(wire.markdown(), end="")' > docs/format.md

.DELETE_ON_ERROR:  # or a .venv that was left half made would pass for a whole one

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, $(PYTHON) is {v}; pass another one as PYTHON=…")'
	@echo "Making .venv with $$($(PYTHON) --version)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=77" "cython>=3.2,<4"

.venv/demo .venv/test .venv/bench: .venv/%: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing the package with its extra [$*] into .venv"
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint constraints.txt --editable '.[$*]'
	touch $@ .venv/built

.venv/built: .venv/bin/python $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

clean:
	rm -rf .venv build dist *.egg-info sketches/_ext/*.so
