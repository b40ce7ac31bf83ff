"""Every folder of volumes has its own results."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from chimerax.siren.core.runs.results import claim_results, owner_of, results_folder


@pytest.fixture
def siblings(tmp_path):
    for name in ("runA", "runB"):
        (tmp_path / name).mkdir()
    return tmp_path


def claim(volumes):
    output = results_folder(volumes)
    output.mkdir(exist_ok=True)
    claim_results(output, volumes)
    return output


def legacy(folder, volumes, step="00_sketch"):
    """Results as earlier versions left them."""
    (folder / step).mkdir(parents=True)
    record = {"volumes": {"vol_1.mrc": {"path": str(volumes / "vol_1.mrc")}}}
    (folder / step / "run.json").write_text(json.dumps(record))


def test_siblings_have_results_of_their_own_whichever_is_first(siblings):
    a, b = siblings / "runA", siblings / "runB"
    for first, second in ((a, b), (b, a)):
        assert claim(first) == siblings / "siren"
        assert claim(second) == siblings / f"siren_{second.name}"
        # and it stays so
        assert results_folder(first) == siblings / "siren"
        assert results_folder(second) == siblings / f"siren_{second.name}"
        shutil.rmtree(siblings / "siren")
        shutil.rmtree(siblings / f"siren_{second.name}")


def test_looking_for_results_writes_nothing(siblings):
    results_folder(siblings / "runA")
    claim_results(siblings / "siren", siblings / "runA")
    assert sorted(p.name for p in siblings.iterdir()) == ["runA", "runB"]


@pytest.mark.parametrize("step", ["00_sketch", "01_edited", "02_expand"])
def test_results_of_an_earlier_version_are_found_by_their_volumes_and_by_no_others(siblings, step):
    legacy(siblings / "siren", siblings / "runA", step)
    assert results_folder(siblings / "runA") == siblings / "siren"
    assert results_folder(siblings / "runB") == siblings / "siren_runB"


def test_results_of_an_earlier_version_that_were_copied_with_their_volumes_are_the_copys(siblings):
    legacy(siblings / "siren", siblings / "runA")
    copy = siblings.parent / "copy"
    shutil.copytree(siblings, copy)
    assert results_folder(copy / "runA") == copy / "siren"
    assert results_folder(copy / "runB") == copy / "siren_runB"


def test_results_of_volumes_elsewhere_are_not_taken_for_those_beside(siblings, tmp_path_factory):
    legacy(siblings / "siren", tmp_path_factory.mktemp("elsewhere"))
    assert results_folder(siblings / "runA") == siblings / "siren_runA"


def test_tables_alone_of_an_earlier_version_are_found_until_other_volumes_own_the_folder(siblings):
    (siblings / "siren").mkdir()
    (siblings / "siren/predictions.csv").write_text("file\n")
    assert results_folder(siblings / "runA") == siblings / "siren"
    claim(siblings / "runB")
    assert results_folder(siblings / "runA") == siblings / "siren_runA"


def test_volumes_and_results_that_moved_together_still_belong_together(siblings):
    claim(siblings / "runA")
    claim(siblings / "runB")
    moved = siblings.rename(siblings.parent / "moved")
    assert results_folder(moved / "runA") == moved / "siren"
    assert results_folder(moved / "runB") == moved / "siren_runB"
    assert owner_of(moved / "siren") == (moved / "runA").resolve()


def test_a_folder_of_volumes_that_was_renamed_finds_its_results(siblings):
    claim(siblings / "runA")
    (siblings / "runA").rename(siblings / "renamed")
    assert results_folder(siblings / "renamed") == siblings / "siren"


def test_a_link_to_a_folder_of_volumes_has_the_results_of_the_folder(siblings):
    claim(siblings / "runA")
    try:
        os.symlink(siblings / "runA", siblings / "link")
    except OSError:
        pytest.skip("links cannot be made here")
    assert results_folder(siblings / "link") == siblings / "siren"


def test_volumes_in_a_folder_called_siren_have_results_elsewhere(tmp_path):
    (tmp_path / "siren").mkdir()
    assert results_folder(tmp_path / "siren") == tmp_path / "siren_siren"


@pytest.mark.parametrize("data", [b"", b"\0", b"x" * 100_000, b"\xed\xa0\x80"])
def test_a_damaged_note_owns_nothing(siblings, data):
    (siblings / "siren").mkdir()
    (siblings / "siren/volumes.txt").write_bytes(data)
    assert results_folder(siblings / "runA") == siblings / "siren"
