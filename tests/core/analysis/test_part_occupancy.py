"""Occupancies of parts: both measures by plain numpy, MAVEn's on the real volumes, calls on planted
shares, tables that can be read again.
"""

from __future__ import annotations

import io
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage

from chimerax.siren.core.analysis.block_occupancy import measure_states
from chimerax.siren.core.analysis.occupancy_tables import occupancies_csv, order_csv, parts_csv
from chimerax.siren.core.analysis.parameters import OccupancyParameters
from chimerax.siren.core.analysis.part_occupancy import (
    GRADED,
    IN_ALL,
    IN_NONE,
    TWO_GROUPS,
    UNDECIDED,
    Occupancies,
    measure_occupancies,
    occupancy_of_volume,
)
from chimerax.siren.core.analysis.parts import block_parts, mask_parts, part_from_array
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.occupancy import binarize
from chimerax.siren.core.blocks.presence import cut_intervals, presence_cuts
from chimerax.siren.core.blocks.region import Mask
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import Ensemble, ensemble_from_arrays, find_ensemble
from chimerax.siren.core.maps.finding import find_sources

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real_ensemble"
SHAPE = (9, 10, 11)


def noise(volumes: int = 12, seed: int = 0) -> tuple[np.ndarray, Ensemble]:
    maps = np.random.default_rng(seed).normal(0, 1, (volumes, *SHAPE)).astype(np.float32)
    return maps, ensemble_from_arrays(maps, 4.0)


def shares_of(rows: dict[str, np.ndarray]) -> Occupancies:
    """Parts of 100 voxels each, occupied by the shares given, one per volume."""
    volumes = len(next(iter(rows.values())))
    maps = np.zeros((volumes, len(rows), 10, 10), np.float32)
    for k, row in enumerate(rows.values()):
        for v, share in enumerate(row):
            maps[v, k].flat[: round(100 * share)] = 1
    masks = np.eye(len(rows), dtype=np.float32)[:, :, None, None] * np.ones((10, 10), np.float32)
    parts = [part_from_array(name, mask) for name, mask in zip(rows, masks, strict=True)]
    return measure_occupancies(parts, ensemble_from_arrays(maps, 4.0), 0.5)


def test_both_measures_of_a_soft_mask_are_those_of_plain_loops() -> None:
    maps, ensemble = noise()
    rng = np.random.default_rng(1)
    mask = np.where(rng.random(SHAPE) < 0.2, rng.random(SHAPE), 0).astype(np.float32)
    density = rng.random(SHAPE)
    levels = rng.normal(0, 0.5, len(maps))
    parts = [part_from_array("with", mask, density), part_from_array("without", mask)]
    found = measure_occupancies(parts, ensemble, levels)
    for v, (array, level) in enumerate(zip(maps, levels, strict=True)):
        above = inside = product = 0.0
        for place in np.ndindex(*SHAPE):
            above += mask[place] * bool(array[place] > level)
            inside += mask[place]
            product += float(mask[place]) * float(array[place])
        assert found.share[:, v] == pytest.approx([above / inside] * 2)
        assert found.maven[:, v] == pytest.approx([product / density.sum(), product / inside])
    assert "for without, without reference" in found.maven_words


def test_the_share_of_a_block_is_what_its_states_say() -> None:
    _, ensemble = noise()
    rng = np.random.default_rng(2)
    voxels = np.sort(rng.choice(990, 60, replace=False))
    blocks = BlockSet(ensemble.grid, {2: voxels[:40], 7: voxels[40:]}, names={7: "stalk"})
    levels = np.linspace(-0.5, 0.5, 12)
    found = measure_occupancies(block_parts(blocks), ensemble, levels)
    states = measure_states(blocks, binarize(ensemble, levels))
    assert found.states.numbers == states.numbers == (2, 7)
    assert found.states.share == pytest.approx(states.share)
    assert np.array_equal(found.states.present, states.present)
    assert np.array_equal(found.states.cuts, states.cuts)
    assert [p.name for p in found.parts] == ["block_2", "block_7"]
    assert found.parts[1].label == "stalk"


@pytest.mark.filterwarnings("ignore:Unrecognised machine stamp")
@pytest.mark.skipif(
    not REAL.is_dir(), reason="../shared/data/real_ensemble is absent: ten real volumes"
)
def test_mavens_measure_of_13_proteins_in_real_volumes_agrees_with_its_formula() -> None:
    ensemble = find_ensemble([REAL])
    masks = [Mask(s) for s in find_sources([REAL / "masks"])]
    parts = mask_parts(masks, ensemble, find_sources([REAL / "references"]))
    found = measure_occupancies(parts, ensemble, 1.0)
    table = pd.read_csv(io.StringIO(occupancies_csv(found))).set_index(["file", "part"])
    assert found.maven.shape == (13, 10)

    def read(path: Path) -> np.ndarray:
        with mrcfile.open(path, permissive=True) as mrc:
            return mrc.data.astype(np.float64)

    for k, letter in enumerate("abcdefghijklm"):
        part = f"prots1_chain{letter}"
        mask, whole = read(REAL / f"masks/Mask_{part}.mrc"), read(REAL / f"references/{part}.mrc")
        for v, name in enumerate(ensemble.names):
            volume = read(REAL / name)
            expected = (mask * volume).sum() / whole.sum()
            assert found.maven[k, v] == pytest.approx(expected, rel=1e-6, abs=1e-6)
            assert table.maven[name, part] == pytest.approx(expected, rel=1e-5, abs=1e-5)
            share = (mask * (volume > 1)).sum() / mask.sum()
            assert found.share[k, v] == pytest.approx(share)


def test_parts_are_called_what_was_planted() -> None:
    rng = np.random.default_rng(3)
    there = rng.random(200) < 0.3
    sharp = np.where(there, rng.normal(0.85, 0.06, 200), rng.normal(0.1, 0.04, 200))
    found = shares_of(
        {
            "comes and goes": sharp.clip(0, 1),
            "all degrees": rng.beta(2, 2, 200),
            "always": rng.normal(0.9, 0.04, 200).clip(0, 1),
            "never": np.abs(rng.normal(0, 0.05, 200)),
        }
    )
    assert [c.call for c in found.calls] == [TWO_GROUPS, GRADED, IN_ALL, IN_NONE]
    assert np.array_equal(found.states.present[0], there)
    sharp, graded = found.calls[:2]
    assert sharp.share.bimodal and not graded.share.bimodal
    assert sharp.low < sharp.cut < sharp.high
    assert sharp.uncertain == 0 < graded.uncertain
    assert sharp.present == there.sum() and sharp.absent == 200 - there.sum()


def test_two_groups_in_a_few_volumes_are_undecided() -> None:
    found = shares_of({"few": np.array([0.1, 0.12, 0.08, 0.11, 0.9, 0.92])})
    assert found.calls[0].call == UNDECIDED
    assert found.calls[0].present == 2


def test_a_cut_lies_in_its_interval_as_often_as_it_says() -> None:
    """The true cut is that of very many volumes; intervals of 95 % from 100 of them hold it."""
    rng = np.random.default_rng(4)

    def drawn(n: int) -> np.ndarray:
        there = rng.random(n) < 0.4
        return np.where(there, rng.normal(0.8, 0.12, n), rng.normal(0.2, 0.1, n)).clip(0, 1)

    truth = presence_cuts(drawn(200_000)[None])[0]
    intervals = cut_intervals(np.array([drawn(100) for _ in range(60)]), seed=1)
    inside = ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).sum()
    assert 50 <= inside <= 60


def test_uncertain_volumes_are_those_between_the_bounds_of_the_cut() -> None:
    rng = np.random.default_rng(5)
    found = shares_of({"part": 0.05 + 0.9 * rng.random(80)})
    call = found.calls[0]
    expected = [call.low <= s <= call.high for s in found.share[0]]
    assert found.uncertain[0].tolist() == expected
    assert call.uncertain == sum(expected) > 0


def test_a_cut_given_by_the_user_has_no_uncertainty() -> None:
    maps, ensemble = noise(30)
    mask = np.ones(SHAPE, np.float32)
    parameters = OccupancyParameters(present=0.5)
    found = measure_occupancies([part_from_array("all", mask)], ensemble, 0.0, parameters)
    assert found.calls[0].present == sum((m > 0).mean() > 0.5 for m in maps)
    assert found.calls[0].uncertain == 0


def test_volumes_and_parts_are_in_scipys_order_and_groups_are_numbered_along_it() -> None:
    rng = np.random.default_rng(6)
    kind = rng.integers(0, 3, 40)
    found = shares_of(
        {name: 0.8 * (kind == k) + 0.1 * rng.random(40) for k, name in enumerate("abc")}
    )
    links = linkage(found.share.T, "average", optimal_ordering=True)
    assert found.order.volumes.order.tolist() == leaves_list(links).tolist()
    table = pd.read_csv(io.StringIO(order_csv(found)))
    assert table.position.tolist() == list(range(1, 41))
    assert table.cluster.is_monotonic_increasing and table.cluster.nunique() == 3
    groups = dict(zip(table.file, table.cluster, strict=True))
    pairs = {(k, groups[n]) for k, n in zip(kind, found.names, strict=True)}
    assert len(pairs) == 3  # the groups are the planted kinds


def test_by_mavens_measure_the_order_is_that_of_its_values() -> None:
    maps, ensemble = noise(20)
    parts = [
        part_from_array(n, np.eye(9)[k][:, None, None] * np.ones(SHAPE)) for k, n in enumerate("ab")
    ]
    parameters = OccupancyParameters(order="maven", clusters=4)
    found = measure_occupancies(parts, ensemble, 0.0, parameters)
    links = linkage(maps[:, :2].mean(axis=(2, 3)).astype(float), "average", optimal_ordering=True)
    assert found.order.volumes.links[:, 2] == pytest.approx(links[:, 2], rel=1e-5)
    assert found.order.cluster.max() == 4


def test_the_tables_hold_every_part_in_every_volume() -> None:
    rng = np.random.default_rng(7)
    found = shares_of({"a": rng.random(15), 'b, "c"': rng.random(15)})
    table = pd.read_csv(io.StringIO(occupancies_csv(found)))
    columns = ["file", "level", "part", "share", "maven", "state", "certain"]
    assert list(table.columns) == columns and len(table) == 30
    wide = table.pivot(index="file", columns="part", values="share")
    for k, part in enumerate(found.parts):
        assert wide.loc[list(found.names), part.name].to_numpy() == pytest.approx(
            found.share[k], abs=1e-4
        )
    assert set(table.state) <= {"present", "absent"}
    parts = pd.read_csv(io.StringIO(parts_csv(found)))
    assert parts.part.tolist() == ["a", 'b, "c"']
    assert sorted(parts.position) == [1, 2]
    counts = table[table.state == "present"].groupby("part").size()
    assert parts.set_index("part").present.to_dict() == {p: counts.get(p, 0) for p in parts.part}
    assert parts.share_p.tolist() == pytest.approx([c.share.p for c in found.calls], rel=0.01)


def test_the_occupancies_beside_a_volume_are_its_own() -> None:
    rng = np.random.default_rng(8)
    found = shares_of({"a": rng.random(15), "b": rng.random(15)})
    row = occupancy_of_volume(found, "map_004")
    assert [r.part for r in row] == ["a", "b"]
    assert [r.share for r in row] == found.share[:, 3].tolist()
    assert [r.present for r in row] == found.states.present[:, 3].tolist()
    with pytest.raises(SirenError, match="map_4 was not measured"):
        occupancy_of_volume(found, "map_4")


def test_the_same_input_gives_the_same_tables() -> None:
    rows = {"a": np.random.default_rng(9).random(40)}
    first, second = shares_of(rows), shares_of(rows)
    assert [f(first) for f in (occupancies_csv, parts_csv, order_csv)] == [
        f(second) for f in (occupancies_csv, parts_csv, order_csv)
    ]


def test_a_level_that_is_no_number_is_refused_by_the_name_of_its_volume() -> None:
    _, ensemble = noise(3)
    part = part_from_array("a", np.ones(SHAPE))
    with pytest.raises(SirenError, match="threshold of map_002 is not a number"):
        measure_occupancies([part], ensemble, [0, np.nan, 0])


def test_two_parts_of_one_name_are_refused() -> None:
    _, ensemble = noise(3)
    part = part_from_array("a", np.ones(SHAPE), origin="mask a.mrc")
    with pytest.raises(SirenError, match="Two parts are named a"):
        measure_occupancies([part, part], ensemble, 0.0)
    with pytest.raises(SirenError, match="no blocks"):
        measure_occupancies([], ensemble, 0.0)
