"""The voxels that a sketch compares: a random part, small enough for the time and the memory that
people have; where noise makes the whole box vary, of those that more than noise is in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from ..compute.resources import fits_in_memory, memory_error, pair_requirements
from .occupancy import Occupancy
from .parameters import SketchParameters
from .statistics.protocol import Observation, Statistic


def above_noise(occupancy: Occupancy, union: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those voxels of a union that are occupied more often than the background.

    Where noise is above the level all over the box, a random few thousand voxels hold a dozen or
    two of a part: too few to find each other, and for its profile to rise above its own noise.

    Parameters
    ----------
    occupancy : Occupancy
    union : flat indices, ascending

    Returns
    -------
    flat indices, ascending; ``union`` itself where the background, half of the box, is occupied
    in NOISY_BACKGROUND of the volumes at most, and in fewer than FEW_VOLUMES, where what noise is
    in more often is in the same volumes by chance: 2 of 300 ensembles without blocks had one
    """
    volumes = len(occupancy)
    background = occupancy.median_frequency
    if volumes < constants.FEW_VOLUMES or background <= constants.NOISY_BACKGROUND * volumes:
        return union
    # a part is larger than a voxel, and noise mostly is not
    often = uniform_filter(
        occupancy.frequency.reshape(occupancy.grid.shape).astype(np.float32), 3, mode="wrap"
    ).ravel()
    middle = float(np.median(often))
    spread = 1.4826 * float(np.median(middle - often[often <= middle]))
    chosen = union[often[union] > middle + constants.ABOVE_NOISE * spread]
    return chosen if len(chosen) > 1 else union


def affordable_sample(
    statistic: Statistic,
    observation: Observation,
    parameters: SketchParameters,
    progress: Progress,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The voxels to compare: as many as the user asks for, or as time and memory allow; the user is
    told.

    Parameters
    ----------
    statistic : that will compare them
    observation : whose voxels count
    parameters : of the sketch; without ``subsample`` one voxel in 2 is drawn, or fewer where there
        are too many to compare
    among : the voxels to draw from, if not all that count; as many are drawn, or all of them

    Returns
    -------
    flat indices, ascending

    Raises
    ------
    SirenError
        If there are fewer than 2 voxels, all are occupied in all volumes, or their comparison does
        not fit into memory.
    """
    union, volumes, asked = observation.union, len(observation.occupancy), parameters.subsample
    among = union if among is None else among
    if len(union) < 2 and statistic.nothing_varies_is_a_result:
        if (observation.occupancy.frequency == volumes).all():
            raise SirenError(
                "Every voxel of the box is occupied in all volumes: the contour levels are too low "
                'for these maps. Predict them ("siren predict"), or give others.'
            )
        return union
    most = statistic.most_sampled(asked)
    chosen = max(
        asked or constants.DEFAULT_SUBSAMPLE, 1 if most is None else -(-len(union) // most)
    )
    sample = draw_sample(union, chosen, parameters.seed, among)
    edges = statistic.edges_expected(observation, sample, parameters, parameters.seed, progress)
    if asked is None and edges > constants.MAX_EDGES:
        # edges go with the square of the voxels
        chosen = int(np.ceil(chosen * np.sqrt(edges / constants.MAX_EDGES)))
        sample = draw_sample(union, chosen, parameters.seed, among)
        edges = constants.MAX_EDGES
    counting = statistic.counts_in_expand
    need = pair_requirements(len(sample), volumes, edges, counting)
    if not fits_in_memory(need):
        coarser, less = chosen, need
        while not fits_in_memory(less) and len(union) // coarser > constants.PILOT_VOXELS:
            coarser *= 2
            less = pair_requirements(
                len(union) // coarser, volumes, edges * (chosen / coarser) ** 2, counting
            )
        raise memory_error(need, f'use "subsample {coarser}" ({less.text()}), or fewer volumes')
    slow = need.seconds > constants.WARN_SECONDS or need.memory > constants.WARN_BYTES
    if chosen > (asked or constants.DEFAULT_SUBSAMPLE) or slow:
        of = f"{len(union):,} voxels (subsample {chosen})"
        if len(among) < len(union):
            of = (
                f"the {len(among):,} voxels that are occupied more often than noise is, of "
                f"{len(union):,} that count"
            )
        progress.say(f"Comparing {len(sample):,} of {of}: {need.text()}.")
    return sample


def draw_sample(
    union: NDArray[np.int64],
    subsample: int,
    seed: int,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """As many voxels as 1/subsample of the union, at least 2, at random, ascending; drawn from
    ``among``, all of these if they are no more, or else from the union.

    Raises
    ------
    SirenError
        If there are fewer than 2 voxels.
    """
    if len(union) < 2:
        raise SirenError(
            "No two voxels are occupied in enough volumes: the thresholds are too high for these "
            "maps, or unionFraction "
            "is too large."
        )
    among = union if among is None else among
    count = min(max(2, len(union) // subsample), len(among))
    return among[np.sort(np.random.default_rng(seed).choice(len(among), count, replace=False))]
