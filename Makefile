# `make` alone lists the targets.
PYTHON ?= python3
VENV = .venv/bin

.PHONY: help env bundle demo screenshots help-page notebooks tutorials rooms train test test-quick test-versions chimerax-names newest fuzz kills lint bench-blocks bench-thresholds bench-speed bench-scaling bench-card bench-communities bench-sensitivity bench-decoders bench-flexing bench-kernels bench-real bench-replication bench-relations clean-env

# Times are those of two cores without other work, with .venv made
help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

env: ## headless ChimeraX in .venv, with the bundle and everything it needs (2 to 4 minutes, then seconds)
	@$(PYTHON) devel/env.py

bundle: env ## the same; only what has changed is redone, usually just the bundle (seconds)

demo: env ## simulate an ensemble and find its blocks; pictures and a session go into demo/ (half a minute)
	@devel/chimerax --offscreen --exit --script "devel/demo.py demo"

# A smaller run, into trained/. The shipped weights: make train TRAIN="--out weights/siren_thresholds.pt"
STRUCTURES ?= ../shared/data/structures
TRAIN ?= --train-maps 1200 --validation-maps 180 --batch-size 32 --epochs 10 --decoder-ensembles 12 --second-epochs 2 --second-example-ensembles 2 --out trained/siren_thresholds.pt
train: env ## train the contour-level network; STRUCTURES=folder of mmCIF or PDB files, or the compact set (10 minutes)
	@mkdir -p trained
	@OMP_NUM_THREADS=2 $(VENV)/python weights/training/train.py "$(STRUCTURES)" $(TRAIN)

screenshots: env ## pictures of the panel's pages for the README, in docs/ (half a minute)
	@$(VENV)/python devel/screenshots.py docs

help-page: ## write the manual's tables and a page for each command from the code (seconds)
	@$(PYTHON) devel/help_page.py

notebooks: env ## run the notebooks in docs/notebooks, and write their outputs into them (half a minute)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/notebook.py

tutorials: env ## run the commands of the manual's first tutorial, and make its pictures (two minutes)
	@devel/chimerax --offscreen --exit --script devel/tutorials.py

rooms: ## draw the rooms of src/ and their imports: docs/rooms.svg (a second)
	@$(PYTHON) devel/rooms.py

test: env ## all tests; those that need ../shared are skipped without it (3 to 4 minutes)
	@$(VENV)/python -m pytest

test-quick: env ## some tests of every room: none that is slow or starts other programs (less than a minute)
	@$(VENV)/python -m pytest --quick

# Such as: make test-versions VERSIONS="3.13 --no-torch"
VERSIONS ?=
test-versions: ## core's tests on Python 3.11 to 3.14, with NumPy 1 and 2, pandas 2 and 3 (devel/versions.py; an hour the first time)
	@$(PYTHON) devel/versions.py $(VERSIONS)

CHIMERAX ?= ../ChimeraX
chimerax-names: ## every ChimeraX name that src/ uses, in the sources of 1.7 to the newest; CHIMERAX=clone of RBVI/ChimeraX (a minute)
	@$(PYTHON) devel/chimerax_names.py "$(CHIMERAX)"

# Such as: make newest NEWEST="v1.11 -- tests/session", NEWEST="origin/develop --python 3.13 --latest"
NEWEST ?= v1.11
newest: ## build a newer ChimeraX from its sources, in .newest, and run the tests in it; CHIMERAX=clone of RBVI/ChimeraX (devel/newest.py; half an hour)
	@$(PYTHON) devel/newest.py "$(CHIMERAX)" $(NEWEST)

fuzz: env ## damaged files for every reader (10 minutes); FUZZ="--seed 3 --inputs 100000" for others
	@OMP_NUM_THREADS=1 $(VENV)/python devel/fuzz.py $(FUZZ)

kills: env ## kill every command that writes, at many of its steps (10 minutes); KILLS="--seed 3 --each 100" for others
	@OMP_NUM_THREADS=1 $(VENV)/python devel/kills.py $(KILLS)

lint: env ## ruff and mypy (20 seconds)
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check -q .
	@$(VENV)/mypy

bench-speed: env ## time and memory of sketch and expand; LARGE=--large adds 1,000 x 128^3 and 300 x 256^3
	@$(VENV)/python devel/benchmarks/speed.py $(LARGE)

bench-scaling: env ## how counting scales with the workers of a Dask cluster: writes devel/benchmarks/scaling.md
	@$(VENV)/python devel/benchmarks/scaling.py

DATA ?= ../shared/data
bench-thresholds: env ## accuracy and speed of predicted contour levels, simulated and real maps: updates weights/README.md
	@$(VENV)/python weights/training/evaluate.py "$(DATA)" --card weights/README.md --ensembles "$(CACHE)"

bench-blocks: env ## how well planted blocks are found: writes devel/benchmarks/blocks.md (an hour or two)
	@$(VENV)/python devel/benchmarks/blocks.py

bench-sensitivity: env ## how blocks depend on the tuned constants: writes devel/benchmarks/sensitivity.md (half an hour)
	@$(VENV)/python devel/benchmarks/blocks.py --sensitivity

bench-card: env ## counting and levels on a graphics card: writes devel/benchmarks/graphics_card.md
	@$(VENV)/python devel/benchmarks/graphics_card.py

bench-communities: env ## community detection by library: writes devel/benchmarks/communities.md
	@$(VENV)/python devel/benchmarks/communities.py

bench-trust: env ## how well flags and errors of levels predict bad ones: writes devel/benchmarks/trust.md
	@$(VENV)/python devel/benchmarks/trust.py "$(DATA)"

CACHE ?= devel/benchmarks/cache
bench-decoders: env ## blocks in ensembles that a decoder made: writes devel/benchmarks/decoders.md (an hour or two)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/decoders/make.py --cache "$(CACHE)"
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/decoders/harness.py "$(CACHE)" --levels true predicted --out "$(CACHE)"
	@$(VENV)/python devel/benchmarks/decoders/summary.py "$(CACHE)"

bench-flexing: env ## blocks and verdicts in particles that bend: writes devel/benchmarks/flexing.md (ten minutes)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/decoders/flexing.py

bench-kernels: env ## blocks and verdicts in noise of other laws: writes devel/benchmarks/kernels.md (twenty minutes)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/decoders/kernels.py

bench-real: env ## blocks and verdicts in ten real volumes, alone and redrawn: writes devel/benchmarks/real_verdicts.md (a minute)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/real_verdicts.py

bench-replication: env ## blocks in two halves of the particles: writes devel/benchmarks/replication.md (half an hour)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/replication.py --cache "$(CACHE)/halves"

bench-relations: env ## how well planted dependences are found: writes devel/benchmarks/relations.md (ten minutes)
	@OMP_NUM_THREADS=1 $(VENV)/python devel/benchmarks/relations.py

clean-env: ## remove .venv
	rm -rf .venv
