# Everything starts here; `make setup` is quick the second time.
PORT ?= 3000
export PATH := $(HOME)/.local/bin:$(PATH)
RUN = uv run --frozen --no-sync

.PHONY: setup demo test check dev bench

setup:
	@bash setup/setup.sh

demo: setup
	@$(RUN) lsdata demo land
	@$(RUN) python -m sensors
	@$(RUN) lsdata demo report

test: setup
	$(RUN) pytest

check: setup
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) pyright
	$(RUN) lint-imports
	$(RUN) lsdata check

dev: setup
	@$(RUN) python -m resources.dev $(PORT)

bench: setup
	$(RUN) python -m benchmarks
