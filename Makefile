# Everything is run from here; `make` alone lists the targets.
PYTHON ?= python3
VENV = .venv/bin

.PHONY: help env bundle demo screenshots train test lint bench-blocks bench-thresholds bench-speed bench-scaling bench-decoders clean-env

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

env: ## headless ChimeraX in .venv, with the bundle and all that it needs
	@$(PYTHON) devel/env.py

bundle: env ## the same: only what has changed is done again, mostly the bundle alone

demo: env ## simulate an ensemble, find its blocks, leave pictures and a session in demo/
	@devel/chimerax --offscreen --exit --script "devel/demo.py demo"

# A smaller run, into trained/; the shipped weights' own: make train TRAIN="--out weights/siren_thresholds.pt"
STRUCTURES ?= ../shared/data/structures
TRAIN ?= --train-maps 1200 --validation-maps 180 --epochs 10 --out trained/siren_thresholds.pt
train: env ## train the threshold network; STRUCTURES=folder of mmCIF or PDB files, or the compact set
	@mkdir -p trained
	@OMP_NUM_THREADS=2 $(VENV)/python weights/training/train.py "$(STRUCTURES)" $(TRAIN)

screenshots: env ## pictures of the panel's pages for README, in docs/
	@$(VENV)/python devel/screenshots.py docs

test: env ## all tests; those that need ../shared say so where it is absent
	@$(VENV)/python -m pytest

lint: env ## ruff and mypy
	@$(VENV)/ruff check .
	@$(VENV)/mypy

bench-speed: env ## seconds and memory of sketch and expand; LARGE=--large adds 1,000 x 128^3 and 300 x 256^3
	@$(VENV)/python devel/benchmarks/speed.py $(LARGE)

bench-scaling: env ## how counting scales with the workers of a Dask cluster: devel/benchmarks/scaling.md
	@$(VENV)/python devel/benchmarks/scaling.py

DATA ?= ../shared/data
bench-thresholds: env ## accuracy of the thresholds, simulated and real maps, speed: into weights/README.md
	@$(VENV)/python weights/training/evaluate.py "$(DATA)" --card weights/README.md

bench-blocks: env ## how well blocks are found: devel/benchmarks/blocks.md made again (an hour or two)
	@$(VENV)/python devel/benchmarks/blocks.py

CACHE ?= devel/benchmarks/cache
bench-decoders: env ## blocks in ensembles that a decoder made: tables in CACHE (an hour or two)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/decoders/make.py --cache "$(CACHE)"
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/decoders/harness.py "$(CACHE)" --out "$(CACHE)"
	@$(VENV)/python devel/benchmarks/decoders/summary.py "$(CACHE)"

clean-env: ## remove .venv
	rm -rf .venv
