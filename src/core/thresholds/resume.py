"""Going on with a prediction that was killed or stopped: what is done is noted in a file.

A line of the file is a batch of maps: where they are, when they were last changed, with what they
were predicted, and the results. A line is used again if all of that is the same now, so the final
table has the bytes of a prediction that ran through. What cannot be read is predicted again.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..common.errors import JunkMap
from ..maps.ensemble import Source
from .flags import EnclosedRegion
from .normalize import Range
from .tables import Prediction

UNFINISHED_FILE = ".predictions-unfinished"
MOST_LINE_BYTES = 1 << 24  # of a batch; a longer line is not ours


@dataclass(frozen=True)
class MapResult:
    """The prediction for a map, with its enclosed region, or why it has none."""

    row: Prediction
    enclosed: EnclosedRegion | None = None
    junk: JunkMap | None = None


def junk_result(name: str, vol_id: int, junk: JunkMap) -> MapResult:
    """The result for a map without density to contour."""
    row = Prediction(name, vol_id, Range(np.nan, np.nan), np.nan, flags=(junk.reason,))
    # without traceback, which would keep the map in memory
    return MapResult(row, junk=junk.with_traceback(None))


@dataclass
class Unfinished:
    """The batches of an unfinished prediction, in a file.

    Attributes
    ----------
    path : Path
        The file; made with the first batch.
    made_with : str
        Everything but the maps that the results depend on.
    """

    path: Path
    made_with: str
    _known: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            with self.path.open("rb") as file:
                while line := file.readline(MOST_LINE_BYTES):
                    self._remember(line)
        except OSError:
            return  # none, or none of ours

    def results(self, batch: Sequence[Source], places: dict[str, int]) -> list[MapResult] | None:
        """The results of a batch that was predicted before; None if it must be predicted now.

        Parameters
        ----------
        batch : sequence of Source
        places : dict of int
            Number of each volume, by name.
        """
        known = self._known.get(self._key(batch) or "")
        try:
            if known is None or len(known) != len(batch):
                return None
            return [_read(one, s.name, places[s.name]) for one, s in zip(known, batch, strict=True)]
        except (ValueError, TypeError, KeyError, zlib.error):
            return None

    def add(self, batch: Sequence[Source], results: Sequence[MapResult]) -> None:
        """Note the results of a batch, unless its maps are only in memory."""
        key = self._key(batch)
        if key is None:
            return
        text = json.dumps([key, [_written(one) for one in results]])
        line = f"\n{text} {zlib.crc32(text.encode()):08x}\n".encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # in one call: two predictions may write to one file
            with self.path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError:
            return  # the results themselves are not lost; where they go is checked on writing

    def _remember(self, line: bytes) -> None:
        text, _, check = line.rstrip(b"\n").rpartition(b" ")
        if check != b"%08x" % zlib.crc32(text):
            return  # torn by the kill
        try:
            key, results = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return
        if isinstance(key, str) and isinstance(results, list) and key.startswith(self.made_with):
            self._known[key] = results

    def _key(self, batch: Sequence[Source]) -> str | None:
        """What the results of a batch depend on; None if that cannot be told."""
        maps = []
        for source in batch:
            if source.path is None:
                return None
            try:
                state = os.stat(source.path)
            except OSError:
                return None
            maps.append(
                (str(source.path), state.st_size, state.st_mtime_ns, source.name, repr(source.grid))
            )
        return self.made_with + json.dumps(maps)


def _written(result: MapResult) -> dict[str, Any]:
    row, enclosed = result.row, result.enclosed
    if result.junk is not None:
        junk = [str(result.junk), result.junk.reason]
        return {"junk": junk, "fingerprint": row.fingerprint}
    assert enclosed is not None
    return {
        "fingerprint": row.fingerprint,
        "numbers": [row.range.vol_min, row.range.vol_max, row.prediction, row.spread],
        "voxels": enclosed.voxels,
        "flags": list(enclosed.flags),
        "bits": base64.b64encode(zlib.compress(enclosed.bits.tobytes())).decode(),
        "size": len(enclosed.bits),
    }


def _read(known: Any, name: str, vol_id: int) -> MapResult:
    """The inverse of :func:`_written`.

    Raises
    ------
    ValueError, TypeError, KeyError, zlib.error
        If it is not.
    """
    fingerprint = str(known["fingerprint"])
    if "junk" in known:
        sentence, reason = (str(text) for text in known["junk"])
        junk = junk_result(name, vol_id, JunkMap(sentence, reason))
        return replace(junk, row=replace(junk.row, fingerprint=fingerprint))
    vol_min, vol_max, prediction = (float(number) for number in known["numbers"][:3])
    spread = known["numbers"][3]
    size = min(int(known["size"]), 1 << 20)
    bits = zlib.decompressobj().decompress(base64.b64decode(known["bits"]), size)
    if len(bits) != size:
        raise ValueError("not the region of a map")
    return MapResult(
        Prediction(
            name,
            vol_id,
            Range(vol_min, vol_max),
            prediction,
            None if spread is None else float(spread),
            fingerprint=fingerprint,
        ),
        EnclosedRegion(
            np.frombuffer(bits, np.uint8), int(known["voxels"]), tuple(map(str, known["flags"]))
        ),
    )
