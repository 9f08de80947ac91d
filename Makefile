# `make` lists the targets. Each sets up what it needs; a second call installs nothing.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

# Which torch: pip takes the CPU build, a tenth of the CUDA one, wherever its own configuration leads to it
# (PIP_FIND_LINKS, a mirror), or where this names an index of CPU wheels. Else it takes the normal build.
# `make setup GPU=1` asks for the CUDA build.
TORCH_INDEX ?=

.DEFAULT_GOAL := help
.PHONY: help setup tools pull demo test drill lint lock bench compile images tiny-lm clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=…" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BIN)/python -m pip install --quiet -c requirements.lock -e '.[dev]'
	@touch $@

setup: $(STAMP) ## make .venv with everything; GPU=1 for CUDA
ifdef GPU
	@$(BIN)/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)' || { $(BIN)/python -m pip uninstall --quiet --yes torch; \
		env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL $(BIN)/python -m pip install --quiet -c requirements.lock torch; }
endif

PULLED := .dvc/tmp/pulled
$(PULLED): data.dvc $(STAMP)
	$(BIN)/dvc pull --quiet
	@mkdir -p $(@D) && touch $@
pull: $(PULLED)

tools: ## install what tests use beside Python packages: Chromium (Debian, as root)
	@sh tests/tools.sh

demo: pull ## run the whole loop in the micro-world, six to twelve minutes
	@$(BIN)/memozy run optimize_prompt --config configs/demo.yaml

test: pull ## run the tests, a process on every core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

drill: pull ## kill, starve and disturb long jobs, and see that nothing is lost or paid twice; minutes
	@for path in drills/[a-z]*.py; do case $$path in *world.py) continue;; esac; \
		$(BIN)/python -m drills.$$(basename $$path .py) || exit 1; done

lint: $(STAMP) ## check style and the import boundaries
	$(BIN)/ruff check .
	$(BIN)/lint-imports

lock: ## pin what a fresh install resolves to
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	UV_FIND_LINKS=$(PIP_FIND_LINKS) .venv-lock/bin/uv pip compile --quiet pyproject.toml --extra dev --universal \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links -o .venv-lock/all.txt
	grep -vE '^(torch|nvidia-|cuda-|triton)' .venv-lock/all.txt > requirements.lock && echo 'torch==2.13.0' >> requirements.lock
	rm -rf .venv-lock

bench: pull ## measure every claim of the README; long
	@for path in benchmarks/[a-z]*.py; do $(BIN)/python -m benchmarks.$$(basename $$path .py) || exit 1; done

compile: $(STAMP) ## compile the pipelines for Kubeflow into compiled/
	@$(BIN)/memozy compile --out compiled

images: ## build the stages' images, memozy-cpu and memozy-train
	docker build -f docker/Dockerfile --target cpu -t memozy-cpu:$(VERSION) --build-arg TORCH_INDEX=$(TORCH_INDEX) .
	docker build -f docker/Dockerfile --target train -t memozy-train:$(VERSION) --build-arg TORCH_INDEX=$(TORCH_INDEX) \
		$(if $(PIP_FIND_LINKS),--build-context wheels=$(PIP_FIND_LINKS)) .

tiny-lm: $(STAMP) ## teach the embedded models from scratch and redraw the sample data, about two hours
	$(BIN)/python -m pipelines.tiny_lm
	$(BIN)/python -m pipelines.sample_data
	$(BIN)/dvc add --quiet data && $(BIN)/dvc push --quiet

clean: ## remove runs, tracking store and caches; not .venv, not data
	rm -rf runs compiled mlflow.db mlflow.db.lock mlartifacts .pytest_cache .ruff_cache .hypothesis .import_linter_cache
