"""Damaged files give one sentence each, in bounded time and memory: a short run of make fuzz."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DEVEL = Path(__file__).parents[2] / "devel"
if sys.platform == "win32":
    pytest.skip("alarms and limits of memory are POSIX's", allow_module_level=True)


@pytest.fixture(scope="module")
def fuzz() -> Iterator[Any]:
    sys.path.insert(0, str(DEVEL))
    yield importlib.import_module("fuzz")
    sys.path.remove(str(DEVEL))


@pytest.fixture(scope="module")
def good(fuzz: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fuzz.make_good(tmp_path_factory.mktemp("fuzz") / "good")


READERS = (
    *("run.json", "blocks.json", "blocks.csv", "states.csv", "truth.json"),
    *("predictions", "labels", "maps", "block maps", "weights", "pickles", "particle files"),
    *("relations", "report", "locate", "labels and masks", "latents", "unfinished", "zips"),
)


def test_every_reader_is_fuzzed_here(fuzz: Any) -> None:
    assert tuple(fuzz.READERS) == READERS


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_a_result_or_one_sentence(fuzz: Any, good: Any, name: str) -> None:
    if name == "weights":
        pytest.importorskip("torch", reason="torch is not installed")
    fuzz.fuzz(good, name, 40, 0)


@pytest.mark.parametrize("wrong", [ValueError("x"), RecursionError(), KeyError("grid")])
def test_another_exception_is_found(
    fuzz: Any, good: Any, monkeypatch: pytest.MonkeyPatch, wrong: Exception
) -> None:
    def raises(folder: Path) -> None:
        raise wrong

    def reader(good: Any, folder: Path, data: Any) -> None:
        fuzz.runs.one_sentence(raises, folder)

    monkeypatch.setitem(fuzz.READERS, "truth.json", (reader, 1))
    with pytest.raises(type(wrong)):
        fuzz.fuzz(good, "truth.json", 3, 0)


def test_a_reader_that_hangs_is_found(
    fuzz: Any, good: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*_: Any) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz, "SECONDS", 0.1)
    monkeypatch.setitem(fuzz.READERS, "truth.json", (hangs, 1))
    with pytest.raises(AssertionError, match=r"more than 0\.1 s"):
        fuzz.fuzz(good, "truth.json", 1, 0)
