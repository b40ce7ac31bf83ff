"""CONTRIBUTING.md names what is there, and its statistic runs as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chimerax.siren.core.blocks import expand, sketch, statistics
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.maps.ensemble import find_ensemble
from ensembles import LEVEL, write_planted

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_files_and_targets_that_it_names_are_there() -> None:
    named = set(re.findall(r"[`(]((?:src|tests|devel|docs|weights)/[\w./]+)[`)]", TEXT))
    files = {name for name in named if not re.search(r"[A-Z]{2}", name)}
    assert len(files) > 15
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.M)) <= targets


def test_its_statistic_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{statistics.__name__}.nothing"
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(re.search(r"```python\n(.*?)```", TEXT, re.S)[1], vars(module))
    for step in (sketch, expand):
        monkeypatch.setattr(step, "statistic_named", lambda _: module.STATISTIC)
    planted = write_planted(tmp_path / "volumes", 60)
    ensemble, levels = find_ensemble([planted.folder]), np.full(60, LEVEL)
    found = sketch.sketch(ensemble, levels, SketchParameters(subsample=1))
    assert len(found.sample) > 100
    assert len(found.blocks) == len(found.edges) == 0
    masks = {n: np.flatnonzero(mask) for n, mask in enumerate(planted.masks.values(), 1)}
    blocks = expand.BlockSet(ensemble.grid, masks)
    grown = expand.expand(ensemble, levels, blocks, ExpandParameters(resamples=2)).blocks
    assert {n: v.tolist() for n, v in grown} == {n: v.tolist() for n, v in masks.items()}
