"""Sub-folders together, and zip files of a series, are ensembles like folders."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_grid, read_map, stored_size, write_map
from chimerax.siren.core.runs.preview import preview_ensemble
from chimerax.siren.core.runs.record import Record, describe_volumes

GRID = Grid((8, 9, 10), (2.0, 2.0, 2.0), (-3.0, 0.0, 9.0))


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=GRID.shape).astype(np.float32)


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(path, volume(seed), GRID, "test")


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    """What cryoDRGN's analyze leaves: the same file names in each folder."""
    folder = tmp_path / "analyze.49"
    for place, seed in (("kmeans20", 0), ("pc1", 10), ("pc2", 20)):
        for n in range(3):
            write(folder / place / f"vol_{n:03d}.mrc", seed + n)
    (folder / "umap.png").write_bytes(b"picture")
    return folder


NAMES = tuple(f"{p}/vol_{n:03d}.mrc" for p in ("kmeans20", "pc1", "pc2") for n in range(3))


def test_a_folder_without_maps_stands_for_those_in_its_subfolders(analysis: Path) -> None:
    ensemble = find_ensemble([analysis])
    assert ensemble.names == NAMES
    for (_, array), seed in zip(ensemble.read(), (0, 1, 2, 10, 11, 12, 20, 21, 22), strict=True):
        np.testing.assert_array_equal(array, volume(seed))


def test_several_folders_together_name_their_maps_by_folder_and_file(analysis: Path) -> None:
    folders = [analysis / p for p in ("pc1", "kmeans20")]
    assert find_ensemble(folders).names == NAMES[:6]
    assert find_ensemble([analysis / "pc1"]).names == tuple(f"vol_{n:03d}.mrc" for n in range(3))
    assert find_ensemble([analysis], include=["kmeans20/*"]).names == NAMES[:3]
    assert find_ensemble([analysis], exclude=["pc1/vol_001"]).names == tuple(
        n for n in NAMES if n != "pc1/vol_001.mrc"
    )


def test_folders_without_a_name_in_common_keep_the_names_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.mrc", 0)
    write(tmp_path / "two" / "b.mrc", 1)
    assert find_ensemble([tmp_path]).names == ("a.mrc", "b.mrc")


def test_results_of_siren_beside_the_subfolders_are_no_volumes(analysis: Path) -> None:
    write(analysis / "00_sketch" / "block_1.mrc", 5)
    (analysis / "00_sketch" / "run.json").write_text("{}")
    write(analysis / "downsampled" / "vol_000.mrc", 5)
    assert find_ensemble([analysis]).names == NAMES


def test_a_folder_with_maps_stands_for_these_alone(analysis: Path) -> None:
    for n in range(2):
        write(analysis / f"own_{n}.mrc", n)
    ensemble = find_ensemble([analysis])
    assert ensemble.names == ("own_0.mrc", "own_1.mrc")
    assert ensemble.notes[0] == (
        "The 2 maps in analyze.49 are used, and the 9 in its sub-folders (kmeans20, pc1, pc2) are "
        "not: give these folders if they hold the volumes."
    )


def test_a_few_maps_below_many_are_not_spoken_of(analysis: Path) -> None:
    write(analysis / "kmeans20" / "old" / "vol_000.mrc", 5)
    assert not any("sub-folders" in note for note in find_ensemble([analysis / "kmeans20"]).notes)


def zipped(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for seed, name in enumerate(names):
            write(path.parent / "one.mrc", seed)
            content = (path.parent / "one.mrc").read_bytes()
            archive.writestr(name, gzip.compress(content) if name.endswith(".gz") else content)
        archive.writestr("readme.txt", "no map")
    (path.parent / "one.mrc").unlink()
    return path


def test_the_zip_file_of_a_series_is_read_without_unpacking(tmp_path: Path) -> None:
    names = [f"J45_component_000_frame_{n:03d}.mrc" for n in range(3)] + ["series/last.mrc.gz"]
    ensemble = find_ensemble([zipped(tmp_path / "J45_component_000.zip", names)])
    assert ensemble.names == (*names[:3], "last.mrc.gz")
    assert ensemble.grid == GRID
    for seed, (_, array) in enumerate(ensemble.read()):
        np.testing.assert_array_equal(array, volume(seed))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["J45_component_000.zip"]


def test_two_series_with_the_same_frames_are_told_apart(tmp_path: Path) -> None:
    for n in (0, 1):
        zipped(tmp_path / f"J45_component_00{n}.zip", ["frame_000.mrc", "frame_001.mrc"])
    assert find_ensemble([tmp_path]).names == tuple(
        f"J45_component_00{n}.zip/frame_00{k}.mrc" for n in (0, 1) for k in (0, 1)
    )


def test_a_record_finds_the_frames_of_a_series_and_the_maps_of_subfolders_again(
    tmp_path: Path, analysis: Path
) -> None:
    for place in (zipped(tmp_path / "s.zip", ["a.mrc", "b.mrc"]), analysis):
        ensemble = find_ensemble([place])
        volumes = describe_volumes(ensemble, np.ones(len(ensemble)), {})
        record = Record("sketch", {}, volumes, "level 1", ensemble.grid, None, None)
        again = record.ensemble()
        assert again.names == ensemble.names
        for (_, one), (_, other) in zip(ensemble.read(), again.read(), strict=True):
            np.testing.assert_array_equal(one, other)
    zipped(tmp_path / "s.zip", ["a.mrc"])
    record.volumes = describe_volumes(find_ensemble([tmp_path / "s.zip"], minimum=1), [1.0], {})
    record.volumes.append({**record.volumes[0], "path": str(tmp_path / "s.zip" / "b.mrc")})
    with pytest.raises(SirenError, match=r"b\.mrc is gone since the sketch"):
        record.ensemble()


def test_a_zip_file_that_is_none_and_a_frame_that_is_missing_give_one_sentence(
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(SirenError, match=r"bad\.zip cannot be read as a zip file .* unpack it"):
        find_ensemble([tmp_path / "bad.zip"])
    good = zipped(tmp_path / "good.zip", ["a.mrc", "b.mrc"])
    with pytest.raises(SirenError, match="there is no such file"):
        read_map(good / "c.mrc")
    assert stored_size(good / "c.mrc") is None
    cut = tmp_path / "cut.zip"
    with zipfile.ZipFile(cut, "w") as archive:
        archive.writestr("a.mrc", zipfile.ZipFile(good).read("a.mrc")[:-8])
    assert read_grid(cut / "a.mrc") == GRID
    with pytest.raises(SirenError, match=r"a\.mrc is truncated or damaged"):
        read_map(cut / "a.mrc")


@pytest.mark.parametrize(
    ("suffix", "remedy"),
    [
        (".mrc.xz", "unpack them"),
        (".map.zst", "unpack them"),
        (".hdf", "save each as .mrc"),
        (".mrcs", "save each as .mrc"),
        (".npy", "save each as .mrc"),
    ],
)
def test_a_folder_of_maps_in_another_format_says_which_and_what_to_do(
    suffix: str, remedy: str, tmp_path: Path
) -> None:
    for n in range(3):
        (tmp_path / f"v{n}{suffix}").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SirenError, match=f"it has 3 files {suffix}, so {remedy}"):
        find_ensemble([tmp_path])


def test_a_folder_without_any_map_asks_for_that_of_the_volumes(tmp_path: Path) -> None:
    with pytest.raises(SirenError, match="give the folder of the volumes"):
        find_ensemble([tmp_path])


@pytest.mark.parametrize(
    ("name", "said"), [("maps.tar.gz", "unpack it, and give"), ("run_data.star", "give the folder")]
)
def test_one_file_of_another_kind_is_not_called_one_volume(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / name).write_bytes(b"data_\n" * 500)
    with pytest.raises(SirenError, match=f"^{name} is not a map .*: {said}"):
        find_ensemble([tmp_path / name])


def test_maps_that_are_still_packed_are_named_where_others_are_used(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"v{n}.mrc", n)
    assert "not used" not in " ".join(find_ensemble([tmp_path]).notes)
    for n in (10, 9):
        (tmp_path / f"v{n}.mrc.xz").write_bytes(b"x")
    ensemble = find_ensemble([tmp_path])
    assert ensemble.names == ("v0.mrc", "v1.mrc", "v2.mrc")
    assert [note for note in ensemble.notes if "v9.mrc.xz, v10.mrc.xz: not used" in note]


def test_maps_of_other_formats_beside_the_volumes_are_counted(tmp_path: Path) -> None:
    """Half of an ensemble was left out without a word."""
    for n in range(3):
        write(tmp_path / f"vol_{n}.mrc", n)
        (tmp_path / f"vol_{n + 3}.vol").write_bytes(b"spider")
    (tmp_path / "mean.em").write_bytes(b"em")
    (tmp_path / "labels.pkl").write_bytes(b"no map")
    said = find_ensemble([tmp_path]).notes
    assert any(n.startswith("3 files .vol: not used") for n in said)
    assert any(n.startswith("1 file .em: not used") and "if it belongs" in n for n in said)
    assert not any("pkl" in n for n in said)


def test_the_results_of_a_run_are_not_taken_for_volumes(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        write(tmp_path / f"block_{n}.mrc", n)
    assert len(find_ensemble([tmp_path])) == 3
    for name in ("run.json", "blocks.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(SirenError, match="its maps are blocks: give the folder of the volumes"):
        find_ensemble([tmp_path])
    with pytest.raises(SirenError, match="its maps are blocks"):
        preview_ensemble([tmp_path])
    assert len(find_ensemble(sorted(tmp_path.glob("block_*.mrc")))) == 3


def test_a_link_to_a_map_that_is_gone_is_said_to_be_one(tmp_path: Path) -> None:
    write(tmp_path / "a.mrc", 0)
    (tmp_path / "b.mrc").symlink_to(tmp_path / "nowhere.mrc")
    with pytest.raises(SirenError, match=r"b\.mrc is a link to a file that is gone: leave it out"):
        find_ensemble([tmp_path])
