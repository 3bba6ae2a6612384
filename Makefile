# Everything these targets create stays in .venv and .cache.
export PYTHON
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TORCH := $(VENV)/.torch
PEERS := $(VENV)/.peers
DEMO := .cache/demo
WITH_MONGODB := $(BIN)/python scripts/with_mongodb.py

# The environment of test-albumentations
PACKAGE ?= albumentations
OTHER = .cache/$(PACKAGE)-$(VERSION)

APP ?= 1
ARGS ?=

.PHONY: help demo app test test-fast test-albumentations lint format bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## run the main workflow on generated data; APP=0 skips the App
	$(WITH_MONGODB) $(DEMO) -- $(BIN)/python -m coco_audit_demo \
		--output $(DEMO)/data $(if $(filter 0,$(APP)),--no-app,--app) $(ARGS)

app: $(INSTALLED) ## serve the App with the datasets of the demo
	$(WITH_MONGODB) $(DEMO) -- $(BIN)/fiftyone app launch \
		--remote --address 127.0.0.1 --wait -1 $(ARGS)

# The App's tests keep one process busy for as long as all others keep the second, so they
# start first, in the order of collection
test: $(INSTALLED) $(TORCH) $(PEERS) ## run all tests; ARGS="-k word" selects some
	$(BIN)/python scripts/browser.py
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(INSTALLED) ## run the tests that need no database and no browser, in about a minute
	$(BIN)/pytest --numprocesses=2 -m "not slow" tests/unit $(ARGS)

# Packages of this environment take precedence over .venv; albumentationsx needs PyTorch
test-albumentations: $(INSTALLED) $(TORCH) ## run the augmentation tests with VERSION=1.4.24
	$(BIN)/python -m venv $(OTHER)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(OTHER)/bin/python -c \
			'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth
	$(OTHER)/bin/python -m pip install --quiet '$(PACKAGE)==$(VERSION)'
	NO_ALBUMENTATIONS_UPDATE=1 $(OTHER)/bin/python -m pytest tests/unit/augmentation $(ARGS)

lint: $(INSTALLED) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## fix the style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED) $(PEERS) ## compare speed with other tools
	$(WITH_MONGODB) .cache/bench -- $(BIN)/python -m benchmarks $(ARGS)

clean: ## delete everything that make created
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist

# The editable install keeps the version and dependencies of its creation.
$(INSTALLED): pyproject.toml fiftyone_coco_audit/__init__.py scripts/environment.sh
	scripts/environment.sh
	@touch $@

# Only the tests of loaders need PyTorch, and it is large
$(TORCH): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[torch]'
	@touch $@

# Only what compares results with other packages needs them. Those of the last line
# require an OpenCV that would replace FiftyOne's, or a torchvision
$(PEERS): $(INSTALLED)
	{ $(BIN)/python -m pip install --quiet --editable '.[peers]' && \
		$(BIN)/python -m pip install --quiet --no-deps 'tidecv==1.0.1' \
			'supervision==0.31.2' 'torchmetrics==1.9.0' 'ultralytics==8.4.190'; } || \
		echo "Comparisons with other packages will be skipped." >&2
	@touch $@
