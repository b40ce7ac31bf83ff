"""Installing the bundle moves no package that ChimeraX ships, its NumPy least of all."""

from __future__ import annotations

import json
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import versions

ROOT = Path(__file__).parents[2]
#: What each version of ChimeraX ships, as devel/chimerax_names.py read it from the sources
SHIPPED: dict[str, dict[str, str]] = json.loads(
    (ROOT / "devel/chimerax_versions.json").read_text(encoding="utf-8")
)


def needed() -> dict[str, Requirement]:
    elements = ElementTree.parse(ROOT / "bundle_info.xml").getroot().iter("Dependency")
    found = (Requirement(f"{e.get('name')} {e.get('version')}") for e in elements)
    return {r.name: r for r in found}


def test_versions_from_1_7_to_that_with_python_3_14_are_known():
    assert {"v1.7", "v1.7.1", "v1.8", "v1.9", "v1.10", "v1.11"} <= SHIPPED.keys()
    assert {s["python"] for s in SHIPPED.values()} == {"3.11", "3.14"}
    assert {s["numpy"][0] for s in SHIPPED.values()} == {"1", "2"}


@pytest.mark.parametrize("version", SHIPPED)
def test_what_chimerax_ships_is_enough_for_the_bundle(version):
    shipped = SHIPPED[version]
    for name, requirement in needed().items():
        if name in shipped:
            assert requirement.specifier.contains(shipped[name], prereleases=True), requirement
    assert {"numpy", "scipy", "networkx", "matplotlib", "psutil"} <= shipped.keys()


@pytest.mark.parametrize("version", SHIPPED)
def test_what_chimerax_lacks_is_content_with_what_it_ships(version):
    """By the metadata of the versions that are tested here."""
    shipped = SHIPPED[version]
    for name in needed().keys() - shipped.keys():
        for text in metadata.requires(name) or []:
            inner = Requirement(text)
            there = {"python_version": shipped["python"], "extra": ""}
            if inner.name in shipped and (inner.marker is None or inner.marker.evaluate(there)):
                assert inner.specifier.contains(shipped[inner.name]), f"{name} needs {inner}"


def test_what_chimerax_lacks_has_an_upper_bound():
    """A later major release may need another NumPy, as pandas 3 does."""
    for name, requirement in needed().items():
        if any(name in shipped for shipped in SHIPPED.values()):
            continue
        latest = str(Version(metadata.version(name)).major + 1)
        assert not requirement.specifier.contains(latest), f"{requirement} has no upper bound"


def test_the_installed_bundle_declares_what_bundle_info_says():
    about: Any = metadata.metadata("ChimeraX-SIREn")
    assert isinstance(about, Message)
    declared = {r.name: r.specifier for r in map(Requirement, about.get_all("Requires-Dist"))}
    assert declared == {name: r.specifier for name, r in needed().items()}


def test_each_python_and_numpy_of_chimerax_is_among_the_combinations_tested():
    tested = {(c.python, c.numpy[:1] or "2") for c in versions.COMBINATIONS}
    assert {(s["python"], s["numpy"][0]) for s in SHIPPED.values()} <= tested
    assert {c.python for c in versions.COMBINATIONS} == {"3.11", "3.12", "3.13", "3.14"}
    assert {c.pandas[:1] or "3" for c in versions.COMBINATIONS} == {"2", "3"}
