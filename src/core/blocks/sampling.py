"""The voxels that a sketch compares: a random part, small enough for the time and the memory that
people have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from ..compute.resources import fits_in_memory, memory_error, pair_requirements
from .parameters import SketchParameters
from .statistics.protocol import Observation, Statistic


def affordable_sample(
    statistic: Statistic, observation: Observation, parameters: SketchParameters, progress: Progress
) -> NDArray[np.int64]:
    """The voxels to compare: as many as the user asks for, or as time and memory allow; the user is
    told.

    Parameters
    ----------
    statistic : that will compare them
    observation : whose voxels count
    parameters : of the sketch; without ``subsample`` one voxel in 2 is drawn, or fewer where there
        are too many to compare

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
    sample = draw_sample(union, chosen, parameters.seed)
    edges = statistic.edges_expected(observation, sample, parameters, parameters.seed, progress)
    if asked is None and edges > constants.MAX_EDGES:
        # edges go with the square of the voxels
        chosen = int(np.ceil(chosen * np.sqrt(edges / constants.MAX_EDGES)))
        sample = draw_sample(union, chosen, parameters.seed)
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
        progress.say(
            f"Comparing {len(sample):,} of {len(union):,} voxels (subsample {chosen}): "
            f"{need.text()}."
        )
    return sample


def draw_sample(union: NDArray[np.int64], subsample: int, seed: int) -> NDArray[np.int64]:
    """A random 1/subsample of the union voxels, at least 2, ascending.

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
    chosen = np.random.default_rng(seed).choice(
        len(union), max(2, len(union) // subsample), replace=False
    )
    return union[np.sort(chosen)]
