# All that these targets make stays in .venv and .cache.
export PYTHON
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TORCH := $(VENV)/.torch
DEMO := .cache/demo
WITH_MONGODB := $(BIN)/python scripts/with_mongodb.py

# What test-albumentations installs beside .venv
PACKAGE ?= albumentations
OTHER = .cache/$(PACKAGE)-$(VERSION)

APP ?= 1
ARGS ?=

.PHONY: help demo app test test-fast test-albumentations lint format bench clean
.DEFAULT_GOAL := help

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## the main job on generated data, then the App; APP=0 stops before it
	$(WITH_MONGODB) $(DEMO) -- $(BIN)/python -m fiftyone_coco_audit.demo \
		--output $(DEMO)/data $(if $(filter 0,$(APP)),--no-app,--app) $(ARGS)

app: $(INSTALLED) ## the App alone, on what the demo left
	$(WITH_MONGODB) $(DEMO) -- $(BIN)/fiftyone app launch \
		--remote --address 127.0.0.1 --wait -1 $(ARGS)

# Those of the App take one process as long as all others take another, so they start
# first, as they are collected
test: $(INSTALLED) $(TORCH) ## all tests; ARGS="-k word" for some
	$(BIN)/python scripts/browser.py
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(INSTALLED) ## those that need no database and no browser, in a minute
	$(BIN)/pytest --numprocesses=2 -m "not slow" tests/unit $(ARGS)

# Its own packages come first, those of .venv after them; albumentationsx needs PyTorch
test-albumentations: $(INSTALLED) $(TORCH) ## those of augmentation with VERSION=1.4.24
	$(BIN)/python -m venv $(OTHER)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(OTHER)/bin/python -c \
			'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth
	$(OTHER)/bin/python -m pip install --quiet '$(PACKAGE)==$(VERSION)'
	NO_ALBUMENTATIONS_UPDATE=1 $(OTHER)/bin/python -m pytest tests/unit/augmentation $(ARGS)

lint: $(INSTALLED) ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## put the style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED) ## side by side with the peers
	$(WITH_MONGODB) .cache/bench -- $(BIN)/python -m benchmarks $(ARGS)

clean: ## undo everything
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist

# The editable install has the version and the dependencies as they were when it was made.
$(INSTALLED): pyproject.toml fiftyone_coco_audit/__init__.py scripts/environment.sh
	scripts/environment.sh
	@touch $@

# Loaders of PyTorch are tested with the real one, which is too large for the rest
$(TORCH): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[torch]'
	@touch $@
