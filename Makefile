# Everything is run from here; `make` alone lists the targets.
PYTHON ?= python3

.PHONY: help env bundle clean-env

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

env: ## headless ChimeraX in .venv, with the bundle and all that it needs
	@$(PYTHON) devel/env.py

bundle: env ## the same: only what has changed is done again, mostly the bundle alone

clean-env: ## remove .venv
	rm -rf .venv
