# The two main commands are `make sweep` and `make test`. Each sets up what it needs in .venv, from Python and make alone.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
CONFIG ?= experiments/configs/tutorial.yaml

# results/ holds what is committed, so that a clone shows it. What you measure goes elsewhere; OUT=results updates the former.
OUT ?= results/local

PEERS := .venv-peers
TORCH ?= https://download.pytorch.org/whl/cpu
SIZE ?= 24

.PHONY: sweep figures models test coverage contract data weights real exhaustive sampling peers bench lint docs clean

sweep: $(VENV)/.sweep            ## the main job: error tables and figures in results/local
	$(RUN) -m experiments.sweep $(CONFIG) output=$(OUT)

figures: $(VENV)/.sweep          ## published numbers beside ours, and figures of the field's papers, in results/local/gallery
	$(RUN) -m experiments.gallery experiments/configs/gallery/*.yaml output=$(OUT)/gallery --page $(OUT)/gallery/README.md

test: $(VENV)/.dev lint          ## everything CI checks
	$(RUN) -m pytest -n auto --dist loadgroup -m "not slow"

coverage: $(VENV)/.dev           ## the lines that tests run, without the contract tests
	$(RUN) -m pytest -n auto --ignore tests/contract -m "not slow" --cov --cov-report=term:skip-covered

contract: $(VENV)/.dev           ## every law on every preset, and slow tests; make test checks structural laws on presets that cover all parts
	QRESEARCH_EVERY=1 $(RUN) -m pytest -n auto --dist loadgroup tests/contract
	$(RUN) -m pytest -n auto -m slow

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

data: $(VENV)/.sweep             ## downloads the weights and data of the tasks into data/, or into $QRESEARCH_DATA
	$(RUN) -m experiments.tasks

models: data                     ## models by recipes: accuracy, perplexity and true bytes, in results/local/models
	$(RUN) -m experiments.gallery experiments/configs/models/*.yaml output=$(OUT)/models --page $(OUT)/models/README.md

weights: $(VENV)/.sweep          ## downloads the weights of a small sentence-embedding transformer; weights/ links to them
	$(RUN) -m experiments.tasks minilm
	mkdir -p weights
	ln -sf "$$(cd "$${QRESEARCH_DATA:-data}" && pwd)/minilm/model.safetensors" weights/model.safetensors

real: weights                    ## the sweep of real weights
	$(RUN) -m experiments.sweep experiments/configs/real_weights.yaml output=$(OUT)

docs: $(VENV)/.dev               ## generates the pages docs/tables.md and docs/formats.md from the tables of the library
	$(RUN) -m qresearch > docs/tables.md
	$(RUN) -m experiments.catalogue docs/formats.md

exhaustive: $(VENV)/.dev         ## all 2^32 float32 values through every element grid of at most 8 bits
	$(RUN) -m experiments.proofs.exhaustive --out results/exhaustive

sampling: $(VENV)/.dev           ## compares exact expected errors of 1,200 schemes and sources with sampling
	$(RUN) -m experiments.proofs.sampling --out results/sampling

peers: $(PEERS)/.ready           ## compares codes, scales and values with other libraries, in an environment of its own
	$(PEERS)/bin/python -m experiments.peers

bench: $(PEERS)/.ready           ## speed, compared with other libraries and with a plain cast; SIZE=22 is quicker
	$(PEERS)/bin/python -m experiments.bench --size $(SIZE)

$(PEERS)/.ready: pyproject.toml experiments/peers/requirements.txt experiments/peers/without_dependencies.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --extra-index-url $(TORCH) \
		$$(grep '^torch==' experiments/peers/requirements.txt)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement experiments/peers/requirements.txt --editable ".[sweep]"
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--requirement experiments/peers/without_dependencies.txt
	touch $@

$(VENV)/.sweep: pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[models,sweep]"
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@ $(VENV)/.sweep

clean:                           ## removes environments and caches, not results and weights
	rm -rf $(VENV) $(PEERS) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
