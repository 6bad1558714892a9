# Two commands on a fresh machine: `make demo` and `make test`. Each sets up all it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
AXE := build/report/node_modules/axe-core/axe.min.js
OUT ?= demo-out
DATE ?= $(shell date -u +%F)

# Two test processes on two cores: a second BLAS thread in each would only wait.
test conformance hostile interop: export OPENBLAS_NUM_THREADS = 1

.DEFAULT_GOAL := help
.PHONY: help demo test conformance hostile interop bench report-check lint clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

demo: $(READY) sdks ## take a shipped model to a verified bundle and draw its track
	$(BIN)/nrf-deploy demo -o $(OUT)

test: $(READY) sdks ## run all tests but the long ones
	$(BIN)/python -m pytest -n 2 -m "not conformance and not hostile and not interop"

conformance: $(READY) sdks ## run the long comparisons with the vendors' simulators
	$(BIN)/python -m pytest -m conformance

hostile: $(READY) ## feed 20,000 and more mutated inputs (docs/robustness.md)
	$(BIN)/python -m tests.hostile --page docs/robustness.md

interop: $(READY) ## make models in six frameworks, compare every spike (docs/interop.md)
	$(BIN)/python -m tests.interop --page docs/interop.md

bench: $(READY) ## measure speed beside other tools (docs/performance.md)
	$(BIN)/python benchmarks/report.py --date "$(DATE)"
	$(BIN)/python benchmarks/jobs.py

report-check: $(READY) $(AXE) ## open the HTML report in Chromium and run axe-core on it
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { echo "install Chromium first: apt-get install chromium"; exit 1; }
	$(BIN)/python -m pytest tests/verification/report/test_page_browser.py

$(AXE):
	npm install --silent --no-save --no-package-lock --prefix build/report axe-core@4.14.1

lint: $(READY) ## check style, types and English
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/plain_english.py

# A vendor's SDK is built where its Python is found; where it is not, the tests say what they skip.
.PHONY: sdks
sdks: $(READY)
	$(BIN)/nrf-deploy sdk install

$(READY): pyproject.toml constraints.txt benchmarks/peers/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[models,dev]' -e benchmarks/peers
	touch $@

clean: ## remove everything that make built here
	rm -rf $(VENV) $(OUT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
