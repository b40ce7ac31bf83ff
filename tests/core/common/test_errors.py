"""Errors raised in other processes, and those of the file system."""

from __future__ import annotations

import errno
import os
import pickle
import re
from pathlib import Path

import pytest

from chimerax.siren.core.common.errors import PACKAGES, JunkMap, file_error, known_error


def test_a_junk_map_error_survives_pickling():
    error = pickle.loads(pickle.dumps(JunkMap("a.mrc is constant.", "constant")))
    assert (type(error), str(error), error.reason) == (JunkMap, "a.mrc is constant.", "constant")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENAMETOOLONG, "give a shorter name."),
        (errno.EROFS, "give another folder."),
        (errno.ESTALE, "look whether it is there, and run the command again."),
    ],
)
def test_an_error_of_the_file_system_names_the_file_and_the_remedy(number, remedy):
    said = str(file_error(OSError(number, os.strerror(number), b"/a/\xff\n.mrc")))
    assert said.startswith("/a/") and said.endswith(remedy) and said.isprintable()
    assert os.strerror(number) in said


def test_an_error_that_names_no_file_is_left_as_it_is():
    assert file_error(OSError(errno.ECONNREFUSED, "Connection refused")) is None
    assert file_error(OSError("odd")) is None


def test_what_the_system_says_of_a_long_name_is_put_in_a_sentence(tmp_path: Path):
    with pytest.raises(OSError) as caught:
        (tmp_path / ("x" * 300)).stat()
    assert "give a shorter name" in str(file_error(caught.value))


def test_a_package_that_is_missing_is_named_with_what_to_type() -> None:
    said = str(known_error(ModuleNotFoundError("No module named 'x'", name="graspologic_native")))
    assert said.startswith("The package graspologic_native, which SIREn needs, is not installed")
    assert '"pip install graspologic-native"' in said
    assert known_error(ModuleNotFoundError("No module named 'x'", name="torch")) is None
    assert known_error(ValueError("x")) is None


def test_the_packages_that_are_named_are_those_that_the_bundle_asks_for() -> None:
    info = (Path(__file__).parents[3] / "bundle_info.xml").read_text()
    asked = set(re.findall(r'Dependency name="([a-z-]+)"', info)) - {"numpy", "scipy"}  # ChimeraX's
    assert {re.split("[<>=]", name)[0] for name in PACKAGES.values()} == asked
