# Everything a developer types. `make help` lists it.
#
# The environment lies in .venv, which every target sets up first (about a second when it is there).
# To use an environment of your own, name it: `make check VENV=path`. The targets then use it as it is;
# only `make setup VENV=path` installs anything into it. PYTHON=python3.12 chooses the interpreter of a new .venv.

VENV ?= .venv
PYTHON ?= python3
export VENV

RUN := $(VENV)/bin/python
ifeq ($(VENV),.venv)
READY := setup
endif
CODE := rc3mm tools tests configs setup.py
PYTEST_ARGS ?=
# Two cores are kept busy by two workers of one thread each; more than four only multiplies the imports of torch.
WORKERS ?= auto
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive

.DEFAULT_GOAL := help
.PHONY: help setup quickstart suite bench detector test check format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: ## install everything into .venv and verify it (a quarter of an hour the first time, then a second)
	@$(PYTHON) tools/misc/setup_env.py

quickstart: $(READY) ## pre-train the tiny model on EmojiScenes, test it zero-shot, draw what it finds
	$(RUN) tools/train.py configs/rc3/pretrain_tiny.py

suite: $(READY) ## tune the quickstart's model on five tasks, test them in six languages, draw the table
	@test -f work_dirs/pretrain_tiny/iter_2000.pth || $(RUN) tools/train.py configs/rc3/pretrain_tiny.py
	$(RUN) tools/evaluate_suite.py configs/suites/emoji_scenes.py --jobs 2

bench: $(READY) ## measure training steps, loading and evaluation on this machine (a quarter of an hour; leave it alone)
	$(RUN) tools/benchmarks/run_all.py

detector: $(READY) ## train the ROI detector of EmojiScenes anew (5 minutes); its weights ship with the package
	$(RUN) tools/dataset_converters/export_emoji_coco.py data/emoji_coco
	$(RUN) tools/train.py configs/detectors/faster_rcnn_emoji.py
	$(RUN) tools/model_converters/export_weights.py work_dirs/faster_rcnn_emoji/iter_1500.pth \
		work_dirs/faster_rcnn_emoji/faster_rcnn_emoji.safetensors \
		--annotations data/emoji_coco/annotations/easy_train.json

test: $(READY) ## run the tests with branch coverage (PYTEST_ARGS='tests/test_models -k itc' for some of them)
	$(THREADS) $(RUN) -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal \
		--cov --cov-report term --durations 10 $(PYTEST_ARGS)

check: $(READY) ## lint, formatting and types, without changing anything
	$(RUN) -m ruff check $(CODE)
	$(RUN) -m ruff format --check $(CODE)
	$(RUN) -m mypy rc3mm/

format: $(READY) ## format the code and mend what the linter can mend
	$(RUN) -m ruff check --fix $(CODE)
	$(RUN) -m ruff format $(CODE)

clean: ## remove caches and build products; .venv, data and work_dirs stay
	rm -rf build dist *.egg-info htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f .coverage .coverage.*
	find rc3mm tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} +
