"""Inverted contrast is called that; noise and molecules are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from chimerax.siren.core.blocks.occupancy import binarize
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.contrast import is_inverted
from chimerax.siren.core.maps.ensemble import ensemble_from_arrays
from chimerax.siren.core.maps.mapfile import read_map
from chimerax.siren.core.thresholds.flags import enclosed_region
from molecules import molecule

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("offset", [0.0, -5.0, 5.0])
def test_a_molecule_below_its_background_is_inverted(noise: float, offset: float) -> None:
    array = molecule(3, noise=noise)[0]
    assert not is_inverted(array + offset)
    assert is_inverted(offset - array)


@pytest.mark.parametrize("sigma", [0, 1, 3])
def test_noise_is_neither(sigma: float) -> None:
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(64,) * 3), sigma)
    assert not is_inverted(noise)
    assert not is_inverted(-noise)


def test_the_flag_of_a_prediction_says_inverted_and_not_noise() -> None:
    array = -molecule(3)[0]
    level = float(np.percentile(array, 99))
    assert enclosed_region(array, level, 0.0, 0.5).flags == (
        "inverted contrast (density is below the background)",
    )


def test_volumes_below_every_level_are_said_to_be_inverted() -> None:
    ensemble = ensemble_from_arrays([-molecule(n)[0] for n in range(3)], 4.0)
    with pytest.raises(SirenError, match=r"the contrast of map_001 is inverted; multiply it by -1"):
        binarize(ensemble, np.full(3, 2.0))
    upright = ensemble_from_arrays([molecule(n)[0] for n in range(3)], 4.0)
    with pytest.raises(SirenError, match="the level is too high for these maps"):
        binarize(upright, np.full(3, 1e6))


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="real maps are in ../shared/data, which is not here"
)
def test_real_maps_are_upright_and_their_negatives_inverted() -> None:
    places = [*SHARED.glob("real_ensemble/vol_*.mrc")]
    places += [p for p in SHARED.glob("real_maps/*") if p.suffix in (".mrc", ".map", ".ccp4")]
    assert len(places) > 15
    for path in places:
        array, _ = read_map(path)
        assert not is_inverted(array), path.name
        # an average that fills its box of 20 voxels has as much below its median as above
        assert is_inverted(-array) == (path.name != "emd_3197.map"), path.name
