"""Readers of maps: volumes, blocks, masks, and series in zips."""

from __future__ import annotations

import bz2
import gzip
import io
import shutil
import struct
import zipfile
from pathlib import Path

import mrcfile
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chimerax.siren.core.blocks.blockset import read_block_maps
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.mapfile import read_grid, read_map
from chimerax.siren.core.runs.comparison import read_side
from chimerax.siren.core.runs.preview import preview_ensemble
from chimerax.siren.core.runs.steps import read_blocks
from fuzzing.changes import changed_bytes
from fuzzing.good import Good, one_sentence

NUMBERS = [0, 1, -1, 2, 5, 8, 9, 10, 255, 65535, 65536, 2**31 - 1, -(2**31), 1146047817]
REALS = [0.0, 1.0, -1.0, 90.0, 1e-40, 1e30, float("inf"), float("nan")]


def volume(good: Good, folder: Path, data: DataObject) -> None:
    """A map with values of its header, or bytes, changed; plain or packed."""
    content = bytearray((good.root / "volumes" / "vol_1.mrc").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = 4 * data.draw(st.integers(0, 56))
        number = data.draw(st.sampled_from(NUMBERS + REALS))
        letter = "i" if isinstance(number, int) else "f"
        struct.pack_into(data.draw(st.sampled_from("<>")) + letter, content, at, number)
    result = bytes(content)
    if data.draw(st.integers(0, 2)) == 0:
        result = changed_bytes(data, result)
    suffix = data.draw(st.sampled_from([".mrc", ".map", ".ccp4", ".rec"]))
    packed = data.draw(st.sampled_from(["", "", ".gz", ".bz2"]))
    if packed:
        result = gzip.compress(result, 1) if packed == ".gz" else bz2.compress(result, 1)
        if data.draw(st.booleans()):
            result = changed_bytes(data, result)
    path = folder / f"a{suffix}{packed}"
    path.write_bytes(result)
    grid, read = one_sentence(read_grid, path), one_sentence(read_map, path)
    assert read is None or read[0].shape == grid.shape
    shutil.copy(good.root / "volumes" / "vol_2.mrc", folder)
    one_sentence(find_ensemble, [folder])


def block_maps(good: Good, folder: Path, data: DataObject) -> None:
    """Blocks as maps."""
    name = data.draw(
        st.sampled_from(
            ["block_1.mrc", "block_2.mrc", "block_0.mrc", "block_99999999999.mrc", "x.mrc"]
        )
    )
    content = (good.run / "block_1.mrc").read_bytes()
    for other in ("block_2.mrc", "blocks.json", "unassigned.mrc"):
        shutil.copy(good.run / other, folder)
    (folder / f"{name}.mrc").write_bytes(changed_bytes(data, content))
    one_sentence(read_block_maps, folder)
    one_sentence(read_blocks, folder)


def labels_and_masks(good: Good, folder: Path, data: DataObject) -> None:
    """Sides of a comparison that other programs made: labeled maps, and folders of masks."""
    kind = data.draw(st.sampled_from(["<i2", "<f4", "i1"]))
    labels = np.arange(8 * 9 * 10).reshape(8, 9, 10) // data.draw(st.sampled_from([1, 7, 300]))
    with mrcfile.new(folder / "labels.mrc", labels.astype(kind)) as mrc:
        mrc.voxel_size = 4.0
    content = (folder / "labels.mrc").read_bytes()
    (folder / "labels.mrc").write_bytes(changed_bytes(data, content))
    one_sentence(read_side, folder / "labels.mrc")
    shutil.copy(good.run / "block_1.mrc", folder)
    one_sentence(read_side, folder)


def zips(good: Good, folder: Path, data: DataObject) -> None:
    """The series that cryoSPARC writes."""
    buffer = io.BytesIO()
    kind = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for n in (1, 2, 3):
            inside = data.draw(st.sampled_from([f"frame_{n}.mrc", "frame_1.mrc", f"../{n}.mrc"]))
            archive.writestr(inside, (good.root / "volumes" / f"vol_{n}.mrc").read_bytes())
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):  # most likely in the table of contents
        at = len(content) - data.draw(st.integers(1, min(400, len(content))))
        content[at] = data.draw(st.integers(0, 255))
    path = folder / "series.zip"
    path.write_bytes(changed_bytes(data, bytes(content)) if data.draw(st.booleans()) else content)
    found = one_sentence(find_ensemble, [path])
    if found is not None:
        one_sentence(lambda: list(found.read()))
    one_sentence(preview_ensemble, [path])
