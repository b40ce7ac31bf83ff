"""Parts: names and pairs of masks and references, masks on other grids, chains of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.analysis.annotation import Atoms
from chimerax.siren.core.analysis.parameters import OccupancyParameters
from chimerax.siren.core.analysis.parts import (
    chain_parts,
    mask_parts,
    pair_references,
    part_from_array,
    part_names,
)
from chimerax.siren.core.blocks.region import Mask
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, ensemble_from_arrays
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.maps.source import Source

BOX = 24


def volumes(box: int = BOX, voxel: float = 4.0) -> Ensemble:
    maps = np.random.default_rng(0).normal(size=(3, box, box, box)).astype(np.float32)
    return ensemble_from_arrays(maps, voxel)


def ball(box: int, radius: float, soft: float = 1.0) -> np.ndarray:
    """A soft ball of a radius in voxels; voxel 0 is where it is in any box of the same extent."""
    z, y, x = np.indices((box,) * 3)
    far = np.sqrt(sum((a - box * 0.4) ** 2 for a in (z, y, x)))
    return np.clip((radius - far) / soft + 0.5, 0, 1).astype(np.float32)


def source(name: str, array: np.ndarray, voxel: float = 4.0, origin=(0.0, 0.0, 0.0)) -> Source:
    return Source(name, None, lambda: array, Grid(array.shape, (voxel,) * 3, origin))


def test_a_mask_and_its_reference_are_paired_by_name() -> None:
    masks = ["Mask_prots1_chaina.mrc", "Mask_prots1_chainb.mrc", "uL2_mask.map"]
    references = ["UL2.mrc", "prots1_chainb.mrc", "prots1_chaina_8A.mrc.gz", "other.mrc"]
    assert pair_references(masks, references) == [2, 1, 0]
    assert pair_references(["a.mrc"], ["molmap of the whole.mrc"]) == [0]


@pytest.mark.parametrize(
    ("masks", "references", "named"),
    [
        (["Mask_a.mrc", "Mask_b.mrc"], ["a.mrc", "c.mrc"], "no reference for Mask_b.mrc"),
        (["Mask_a.mrc", "Mask_b.mrc"], ["a.mrc", "a.map", "b.mrc"], "a.mrc, a.map"),
        (["Mask_a.mrc", "Mask_b.mrc"], ["a_1.mrc", "a_2.mrc", "b.mrc"], "a_1.mrc, a_2.mrc"),
        (["Mask_a.mrc", "a_mask.mrc"], ["a.mrc", "b.mrc"], "would both go with a.mrc"),
    ],
)
def test_pairs_that_are_missing_or_ambiguous_are_refused_by_name(masks, references, named) -> None:
    with pytest.raises(SirenError, match=named):
        pair_references(masks, references)


def test_chain_a_is_not_paired_with_chain_aa() -> None:
    found = pair_references(["Mask_chaina.mrc", "Mask_chainaa.mrc"], ["chainaa.mrc", "chaina.mrc"])
    assert found == [1, 0]


def test_names_are_those_of_the_files_without_the_word_mask_unless_two_are_the_same() -> None:
    assert part_names(["Mask_x_chaina.mrc", "y.mask.map.gz"]) == ["x_chaina", "y"]
    assert part_names(["Mask_x.mrc", "x_mask.mrc"]) == ["Mask_x.mrc", "x_mask.mrc"]
    assert part_names(["mask.mrc"]) == ["mask"]


def test_a_mask_of_twice_the_voxels_in_the_same_box_is_that_of_the_volumes() -> None:
    said: list[str] = []
    fine, coarse = ball(2 * BOX, 12, 4.0), ball(BOX, 6, 2.0)
    parts = mask_parts(
        [Mask(source("Mask_fine.mrc", fine, 2.0)), Mask(source("coarse.mrc", coarse))],
        volumes(),
        [source("fine.mrc", fine, 2.0), source("coarse.mrc", coarse)],
        Progress(say=said.append),
    )
    by_name = {p.name: p for p in parts}
    assert by_name["fine"].total == pytest.approx(by_name["coarse"].total, rel=0.02)
    assert by_name["fine"].reference == pytest.approx(by_name["coarse"].reference, rel=0.02)
    full = np.zeros(BOX**3)
    full[by_name["fine"].voxels] = by_name["fine"].weights
    assert np.abs(full - coarse.ravel()).max() < 0.15
    assert full.min() >= 0 and full.max() <= 1
    assert len(said) == 1 and "was resampled" in said[0] and "1 more" in said[0]


def test_a_mask_of_as_many_voxels_is_taken_voxel_by_voxel_whatever_its_header() -> None:
    said: list[str] = []
    mask = ball(BOX, 6)
    parts = mask_parts(
        [Mask(source("Mask_a.mrc", mask, 1.0))], volumes(), progress=Progress(say=said.append)
    )
    assert np.array_equal(parts[0].voxels, np.flatnonzero(mask))
    assert np.array_equal(parts[0].weights, mask[mask > 0])
    assert "voxel by voxel" in said[0]


@pytest.mark.parametrize(("voxel", "origin"), [(3.0, 0.0), (8.0, 20.0)])
def test_a_mask_in_another_box_is_refused_by_name(voxel: float, origin: float) -> None:
    mask = source("Mask_a.mrc", ball(12, 3), voxel, (origin, 0.0, 0.0))
    with pytest.raises(SirenError, match=r"Mask_a.mrc has 12 x 12 x 12.*different boxes"):
        mask_parts([Mask(mask)], volumes())


def test_a_mask_that_was_moved_in_the_scene_is_taken_where_it_lies() -> None:
    mask, shifted = ball(BOX, 5), np.eye(3, 4)
    shifted[0, 3] = 8.0  # two voxels along x
    part = mask_parts([Mask(source("Mask_a.mrc", mask), None, shifted)], volumes())[0]
    full = np.zeros(BOX**3)
    full[part.voxels] = part.weights
    expected = np.roll(mask, 2, axis=2)
    assert full.reshape(expected.shape)[2:-2, 2:-2, 4:-4] == pytest.approx(
        expected[2:-2, 2:-2, 4:-4], abs=1e-3
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (np.zeros((4, 4, 4)), "Mask_a.mrc is empty"),
        (np.linspace(-2, 5, 64).reshape(4, 4, 4), "Mask_a.mrc is no mask: its values are -2 to 5"),
    ],
)
def test_what_is_no_mask_is_refused_by_the_name_of_its_file(values, named) -> None:
    maps = np.random.default_rng(0).normal(size=(3, 4, 4, 4))
    with pytest.raises(SirenError, match=named):
        mask_parts([Mask(source("Mask_a.mrc", values))], ensemble_from_arrays(maps, 4.0))


def test_a_reference_without_density_is_refused() -> None:
    with pytest.raises(SirenError, match="reference of a sums to 0"):
        part_from_array("a", np.ones((4, 4, 4)), np.zeros((4, 4, 4)))


def test_masks_are_read_from_files(tmp_path: Path) -> None:
    ensemble = volumes()
    write_map(tmp_path / "Mask_a.mrc", ball(BOX, 5), ensemble.grid, "mask")
    path = tmp_path / "Mask_a.mrc"
    part = mask_parts([Mask(Source(path.name, path))], ensemble)[0]
    assert (part.name, part.path, part.origin) == ("a", path, "mask Mask_a.mrc")


def test_a_chain_is_the_voxels_whose_nearest_atom_is_its_own_and_close() -> None:
    rng = np.random.default_rng(1)
    grid = Grid((14, 15, 16), (2.0, 2.5, 3.0), (-5.0, 3.0, 1.0))
    atoms = rng.uniform((0, 8, 5), (22, 35, 35), (60, 3))
    chains = [str(c) for c in rng.choice(["B", "A", "a10", "a9"], 60)]
    model = Atoms(atoms, np.array(chains), np.arange(60), {"B": "uL2"})
    parts = {p.name: p for p in chain_parts(model, grid, OccupancyParameters(within=4.0))}
    assert list(parts) == ["chain_a9", "chain_a10", "chain_A", "chain_B"]
    expected: dict[str, set[int]] = {f"chain_{c}": set() for c in chains}
    for voxel in range(grid.size):
        far = np.linalg.norm(grid.points(np.array([voxel]))[0] - atoms, axis=1)
        if far.min() <= 4.0:
            expected[f"chain_{chains[int(far.argmin())]}"].add(voxel)
    assert {n: set(p.voxels.tolist()) for n, p in parts.items()} == expected
    assert parts["chain_B"].origin == "chain B, within 4 A of its atoms"
    assert parts["chain_B"].label == "uL2"


def test_every_atom_is_near_a_voxel_of_its_chain_in_coarse_volumes() -> None:
    grid = Grid((10, 10, 10), (9.0, 9.0, 9.0))
    atom = np.array([[40.5, 40.5, 40.5]])  # as far from all voxels as can be
    assert len(chain_parts(Atoms(atom, np.array(["A"]), np.ones(1)), grid)[0].voxels) == 8


def test_a_model_outside_of_the_volumes_is_refused() -> None:
    grid = Grid((10, 10, 10), (2.0, 2.0, 2.0))
    far = Atoms(np.full((5, 3), 500.0), np.array(["A"] * 5), np.arange(5))
    with pytest.raises(SirenError, match="No atom of the model is in the box"):
        chain_parts(far, grid)
