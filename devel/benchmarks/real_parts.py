"""The parts of the 50S in ten real volumes: their names, and how far each is there."""

from __future__ import annotations

import gzip
from functools import cache

import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.maps.mapfile import read_map
from planted import REAL_LEVEL, SHARED, real_volumes, ribosome

# proteins of the model by their chains, A, B, ...: named by their sequences (E. coli)
CHAINS = {
    "prots1": "uL2 uL3 uL4 uL5 uL6 bL9 uL11 uL13 uL14 uL15 uL16 bL17 uL18 bL19 bL20 bL21 uL22 uL23 "
    "uL24 bL25 bL27 bL28 uL29 uL30 bL32 bL33",
    "prots2": "bL34 bL35 bL36",
}
DEPLETED = "bL17"  # the cells of EMPIAR-10076 made too little of it
SAME_RUN = 4  # residues: gaps up to this are not told


@cache
def part_names() -> list[str]:
    """Names of the parts, in their order: proteins, or residues of 23S or 5S RNA."""
    assert SHARED is not None
    names = {}
    for path in sorted((SHARED / "ribosome_50S").glob("*.pdb.gz")):
        file = path.name[:-7]
        numbers: dict[str, list[int]] = {}
        with gzip.open(path, "rt") as lines:
            for line in lines:
                if line.startswith("ATOM"):
                    numbers.setdefault(line[21], []).append(int(line[22:26]))
        for chain, own in numbers.items():
            if file.startswith("prots"):
                name = _protein(file, chain)
            else:
                runs = runs_of(sorted(set(own)))
                name = f"{'5S' if '5S' in file else '23S'} {runs}"
            names[f"{file} {chain}"] = name
    return [names[p.name] for p in ribosome()]


def runs_of(numbers: list[int]) -> str:
    """Residues as ranges, such as 1-12+2895-2904; gaps of up to SAME_RUN are not told."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n <= runs[-1][1] + SAME_RUN:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return "+".join(f"{a}-{b}" for a, b in runs)


def _protein(file: str, chain: str) -> str:
    return CHAINS[file].split()[ord(chain.upper()) - ord("A")]


def part_presence(
    parts: list[NDArray[np.int64]], volumes: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(parts, 10) share of each part's voxels above the level."""
    return np.array(
        [[(v.ravel()[b] > REAL_LEVEL).mean() if len(b) else 0.0 for v in volumes] for b in parts]
    )


@cache
def published() -> tuple[tuple[str, NDArray[np.int64], NDArray[np.float64]], ...]:
    """Name, (n,) voxels of the mask and (10,) occupancy of the proteins with published masks."""
    assert SHARED is not None
    folder, (volumes, _) = SHARED / "real_ensemble", real_volumes()
    rows = []
    for path in sorted((folder / "masks").glob("Mask_prots1_chain?.mrc")):
        chain = path.stem[-1]
        mask, _ = read_map(path)
        reference, _ = read_map(folder / "references" / f"prots1_chain{chain}.mrc")
        occupancy = np.tensordot(volumes, mask, axes=3) / float(reference.sum())
        name = _protein("prots1", chain)
        rows.append((name, np.flatnonzero(mask > 0.5), occupancy.astype(np.float64)))
    return tuple(rows)
