# make demo | test | check | venv | clean. Each installs what it needs into .venv first; PYTHON and PIP_ARGS may be given, e.g.
#   make demo PYTHON=python3.12 PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BUNDLE := bundles/lsr_truncation

.PHONY: demo test check format venv clean

demo: $(STAMP)
	$(BIN)/python -m monai.bundle run inference --bundle_root $(BUNDLE) \
	  --config_file $(BUNDLE)/configs/inference.yaml --output_dir out/demo --overwrite True

# Workers of pytest share the cores: threads that wait by spinning would take them from one another.
test: check
	OMP_NUM_THREADS=2 NUMBA_NUM_THREADS=2 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

venv: $(STAMP)

# Installs again only when the requirements change. The constraints hold torch at one exact version: an open range would
# bring the newest build, with gigabytes of CUDA libraries.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
