"""The fingerprint of a map: a short code for its values, whatever its file is called.

Example::

    from pathlib import Path

    from chimerax.siren.core.maps.fingerprint import fingerprint
    from chimerax.siren.core.maps.mapfile import read_map

    array, grid = read_map(Path("volumes/vol_001.mrc"))
    len(fingerprint(array))  # -> 12
    fingerprint(array) == fingerprint(3 * array)  # -> False
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# voxels that are looked at: 0.1 ms where a map of 64^3 takes 1 ms to read, and hundreds of them
# are in any molecule
SAMPLE = 16_384
LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
DIGEST_BYTES = 6  # two of 100,000 maps have the same code by chance once in 50,000 ensembles


def fingerprint(array: NDArray[np.floating]) -> str:
    """Code for the values of a map: another one for another map, also if it was only scaled,
    shifted, mirrored or masked.

    It is made of voxels that are spread evenly over the box, not of all of them.

    Parameters
    ----------
    array : (z, y, x) array

    Returns
    -------
    str
        Twelve letters, which no spreadsheet takes for a number.
    """
    step = max(1, array.size // SAMPLE)
    # neither every plane of the box nor every row is passed over
    while any(math.gcd(step, n) > 1 for n in array.shape):
        step += 1
    sample = np.ascontiguousarray(array.reshape(-1)[::step], "<f4")
    digest = hashlib.blake2b(repr(array.shape).encode(), digest_size=DIGEST_BYTES)
    digest.update(sample.tobytes())
    return digest.hexdigest().translate(LETTERS)


def copies_note(maps: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence for the log where some maps are copies of others; none where all are.

    Parameters
    ----------
    maps : sequence of (str, str)
        Name and fingerprint of each map.
    """
    first: dict[str, str] = {}
    copies = [name for name, code in maps if first.setdefault(code, name) != name]
    if not copies or len(first) == 1:
        return []
    original = first[dict(maps)[copies[0]]]
    said = "are copies of others" if len(copies) > 1 else "is a copy of another"
    return [
        f"{len(copies):,} of the {len(maps):,} volumes {said}, {copies[0]} of {original}: "
        "they count as if each had been found by itself, so that what is found is less certain "
        'than it looks. Leave them out ("exclude").'
    ]
