PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: run test benchmarks clean

run: .venv/.requirements
	$(BIN)/python SAFE_Tool.py

test: .venv/.requirements-dev node_modules/.installed
	npm run --silent lint
	npm run --silent test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest

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

.venv/.%: %.txt requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r $<
	touch $@

node_modules/.installed: package-lock.json package.json
	@command -v node >/dev/null && command -v npm >/dev/null || { \
		echo "The page's scripts are checked by Node and npm, which are missing. Install them (Debian:" \
			"sudo apt-get install nodejs npm), and try again." >&2; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf .venv node_modules screenshots
