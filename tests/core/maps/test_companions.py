"""Half maps, masks, means and what else programs leave beside the states are recognized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from chimerax.siren.core.maps.companions import find_companions, is_mask, kinds_by_name
from chimerax.siren.core.maps.ensemble import Source, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map, write_map

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
GRID = Grid((24, 24, 24), (4.0, 4.0, 4.0))

FOLDERS = {
    "RECOVAR kmeans": (
        [f"center{n:03d}.mrc" for n in range(30)],
        {
            **{f"center{n:03d}_half{h}_unfil.mrc": "half map" for n in range(30) for h in (1, 2)},
            **{f"center{n:03d}_unfil.mrc": "unfiltered map" for n in range(30)},
        },
    ),
    "RECOVAR volumes beside states": (
        ["state000.mrc", "state001.mrc", "state002.mrc"],
        {
            "mean.mrc": "mean or reference",
            "mean_filt.mrc": "mean or reference",
            "mean_half1_unfil.mrc": "half map",
            "mask.mrc": "mask",
            "dilated_mask.mrc": "mask",
            "focus_mask.mrc": "mask",
            "eigen_pos0000.mrc": "eigenvolume",
            "variance4.mrc": "variance map",
            "local_resolution.mrc": "local resolution map",
            "sampling.mrc": "diagnostic map",
        },
    ),
    "RECOVAR of 2023, a folder a state": (
        [f"vol{n:03d}/ml_optimized_locres_filtered.mrc" for n in range(3)],
        {
            f"vol{n:03d}/ml_optimized_{end}.mrc": kind
            for n in range(3)
            for end, kind in {
                "half1_unfil": "half map",
                "half2_unfil": "half map",
                "unfiltered": "unfiltered map",
                "locres": "local resolution map",
                "locres_filtered_nob": "processed copy",
                "auc": "diagnostic map",
            }.items()
        },
    ),
    "cryoDRGN landscape": (
        [f"vol_{n:03d}.mrc" for n in range(500)],
        {"vol_mean.mrc": "mean or reference", "mask.mrc": "mask"},
    ),
    "cryoDRGN beside training": (
        ["vol_000.mrc", "vol_001.mrc"],
        {
            "reconstruct.49.mrc": "mean or reference",
            "reconstruct.mrc": "mean or reference",
            "backproject.mrc": "mean or reference",
            "half_map_a.mrc": "half map",
            "half_map_b.mrc": "half map",
            "vol_000.masked.mrc": "processed copy",
            "vol_001_flipped.mrc": "processed copy",
        },
    ),
    "tomoDRGN": (
        ["vol_000.mrc", "vol_001.mrc"],
        {"backproject_filt.mrc": "mean or reference", "backproject_half1.mrc": "half map"},
    ),
    "tomoDRGN k-means in voxel space": (
        [f"voxel_kmeans20_cluster{n}.mrc" for n in range(20)],
        {},
    ),
    "cryoSPARC 3DVA": (
        [f"J45_component_000_frame_{n:03d}.mrc" for n in range(20)],
        {
            "J45_map.mrc": "mean or reference",
            "J45_mask.mrc": "mask",
            "J45_component_0.mrc": "eigenvolume",
            "J45_component_1.mrc": "eigenvolume",
        },
    ),
    "cryoSPARC 3D classification": (
        [f"cryosparc_P3_J12_class_{n:02d}_00042_volume.mrc" for n in range(5)],
        {
            **{
                f"cryosparc_P3_J12_class_{n:02d}_{i:05d}_volume.mrc": "earlier iteration"
                for n in range(5)
                for i in (0, 21)
            },
            "cryosparc_P3_J12_mask_solvent.mrc": "mask",
            "cryosparc_P3_J12_consensus.mrc": "mean or reference",
        },
    ),
    "cryoSPARC refinements": (
        ["J7_005_volume_map.mrc", "J8_004_volume_map.mrc"],
        {
            "J7_005_volume_map_half_A.mrc": "half map",
            "J7_005_volume_map_half_B.mrc": "half map",
            "J7_005_volume_map_sharp.mrc": "processed copy",
            "J7_005_volume_mask_fsc_auto.mrc": "mask",
            "J7_004_volume_map.mrc": "earlier iteration",
        },
    ),
    "RELION Class3D": (
        [f"run_it025_class{n:03d}.mrc" for n in range(1, 5)],
        {
            **{
                f"run_it{i:03d}_class{n:03d}.mrc": "earlier iteration"
                for i in (0, 24)
                for n in range(1, 5)
            },
            "mask.mrc": "mask",
            "postprocess_automask.mrc": "mask",
        },
    ),
    "RELION refinements": (
        ["run_class001.mrc", "other_class001.mrc"],
        {
            "run_half1_class001_unfil.mrc": "half map",
            "run_half2_class001_unfil.mrc": "half map",
            "relion_locres.mrc": "local resolution map",
            "postprocess.mrc": "mean or reference",
            "run_body001_mask.mrc": "mask",
        },
    ),
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_names_of_programs_are_known(folder: str) -> None:
    states, others = FOLDERS[folder]
    assert kinds_by_name([*states, *others]) == others


@pytest.mark.parametrize(
    "names",
    [
        ["unmasked_1.mrc", "unmasked_2.mrc"],
        ["meander.mrc", "references.mrc", "sharp.mrc"],
        ["behalf1.mrc", "halfway.mrc", "component.mrc"],
        ["vol_1_sharp.mrc", "vol_2_sharp.mrc"],  # there are no others of them
        ["map_1_filt.mrc", "J12_class_00_00042_volume.mrc", "run_it025_class001.mrc"],
    ],
)
def test_names_that_only_look_like_it_are_those_of_states(names: list[str]) -> None:
    assert kinds_by_name(names) == {}


def density(seed: int, noise: float = 0.3) -> np.ndarray:
    """A state: a core, a part that is there or not, and noise."""
    rng = np.random.default_rng(seed)
    array = noise * rng.standard_normal(GRID.shape)
    array[8:16, 8:16, 8:16] += 2
    array[16:20, 8:14, 8:14] += 2 * (rng.random() < 0.5)
    return ndimage.gaussian_filter(array, 0.7).astype(np.float32)


def soft_mask() -> np.ndarray:
    full = np.zeros(GRID.shape)
    full[5:19, 5:19, 5:19] = 1
    return np.clip(1.2 * ndimage.gaussian_filter(full, 1.0) - 0.1, 0, 1).astype(np.float32)


def write(folder: Path, **maps: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in maps.items():
        write_map(folder / f"{name}.mrc", array, GRID, "test")
    return folder


@pytest.fixture
def recovar(tmp_path: Path) -> Path:
    """30 states with their half maps and unfiltered maps, a mask and a mean: 122 maps."""
    folder = tmp_path / "kmeans"
    for n in range(30):
        halves = [density(n, 1.5), density(n, 1.4)]
        write(
            folder,
            **{
                f"center{n:03d}": density(n),
                f"center{n:03d}_half1_unfil": halves[0],
                f"center{n:03d}_half2_unfil": halves[1],
                f"center{n:03d}_unfil": (halves[0] + halves[1]) / 2,
            },
        )
    return write(folder, mask=soft_mask(), mean=density(99, 0.01))


def test_the_states_of_recovar_are_its_ensemble_and_the_rest_is_said_in_one_line(
    recovar: Path,
) -> None:
    ensemble = find_ensemble([recovar])
    assert ensemble.names == tuple(f"center{n:03d}.mrc" for n in range(30))
    assert len(ensemble.all_names) == 122
    assert ensemble.notes == (
        "Left out, as no states of the ensemble: 60 half maps (center000_half1_unfil.mrc and 59 "
        "more), 30 unfiltered maps (center000_unfil.mrc and 29 more), 1 mask (mask.mrc), 1 mean "
        'or reference (mean.mrc). To use one all the same, name it: "include '
        'center000_half1_unfil.mrc".',
    )


def test_companions_are_used_on_request_and_can_be_excluded_like_any(recovar: Path) -> None:
    assert find_ensemble([recovar], include=["center*"]).names == tuple(
        f"center{n:03d}.mrc" for n in range(30)
    )
    assert len(find_ensemble([recovar], include=["*_unfil"])) == 90
    assert find_ensemble([recovar], include=["center00?", "mean.mrc"]).names[-1] == "mean.mrc"
    assert len(find_ensemble([recovar], exclude=["center000.mrc", "mask.mrc"])) == 29
    both = find_ensemble([recovar], include=["center00?", "mask"], exclude=["mask", "center001"])
    assert len(both) == 9
    assert len(find_ensemble([recovar], everything=True)) == 122


def test_a_map_that_is_only_named_like_a_companion_is_a_volume_and_said_to_be(
    tmp_path: Path,
) -> None:
    states = {f"vol_{n}": density(n) for n in range(6)}
    folder = write(
        tmp_path / "v",
        **states,
        mask=density(7),  # density, by no means a mask
        eigen_pos0000=density(8, 0.02),  # like the states
        reference=np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32),
    )
    ensemble = find_ensemble([folder])
    assert len(ensemble) == 9
    assert [n.split(",")[0] for n in ensemble.notes] == [
        "eigen_pos0000.mrc: named like eigenvolumes",
        "mask.mrc: named like masks",
        "reference.mrc: named like means or references",
    ]


def test_a_mask_is_recognized_by_what_it_holds_whatever_its_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", **{f"vol_{n}": density(n) for n in range(12)}, m12=soft_mask())
    assert len(find_ensemble([folder])) == 12
    # beside maps that are named in many ways, no name is odd, and few maps are read
    folder = write(tmp_path / "w", a=density(0), b=density(1), c=soft_mask())
    assert len(find_ensemble([folder])) == 3


def test_where_all_maps_are_of_one_kind_they_are_the_volumes(tmp_path: Path) -> None:
    folder = write(tmp_path / "h", **{f"half_map_{h}": density(n) for n, h in enumerate("ab")})
    assert len(find_ensemble([folder])) == 2
    # of cryoDRGN's landscape, the mean of each cluster, not its SD
    means = {f"state_{n}_mean": density(n) for n in range(4)}
    deviations = {f"state_{n}_std": np.abs(density(n)) for n in range(4)}
    folder = write(tmp_path / "c", **means, **deviations)
    assert find_ensemble([folder]).names == tuple(f"{n}.mrc" for n in means)


def test_few_maps_are_read_to_find_companions() -> None:
    read: list[str] = []

    def source(name: str, seed: int) -> Source:
        def values() -> np.ndarray:
            read.append(name)
            return density(seed)

        return Source(name, array=values, grid=GRID)

    names = [f"state{n:03d}{e}.mrc" for n in range(50) for e in ("", "_half1_unfil", "_unfil")]
    found = find_companions([source(n, i) for i, n in enumerate(names)])
    assert len(found.kinds) == 100
    assert len(read) <= 9
    read.clear()
    assert not find_companions([source(f"vol_{n}.mrc", n) for n in range(50)]).kinds
    assert not read or len(read) <= 3


def test_is_mask_tells_masks_from_densities() -> None:
    assert is_mask(soft_mask())
    assert is_mask((soft_mask() > 0.5).astype(np.float32))
    assert not is_mask(density(0))
    assert not is_mask(soft_mask() * np.float32(0.8))
    scaled = density(0)
    assert not is_mask((scaled - scaled.min()) / (scaled.max() - scaled.min()))


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="real volumes are in ../shared/data, which is not here"
)
def test_real_masks_references_and_volumes_are_told_apart() -> None:
    real = SHARED / "real_ensemble"
    assert not find_companions(list(find_ensemble([real]).sources)).kinds
    assert all(is_mask(read_map(p)[0]) for p in (real / "masks").glob("*.mrc"))
    assert not any(is_mask(read_map(p)[0]) for p in real.glob("vol_*.mrc"))
    together = [*real.glob("vol_*.mrc"), *(real / "masks").glob("*.mrc")]
    assert len(find_ensemble(together)) == 10
