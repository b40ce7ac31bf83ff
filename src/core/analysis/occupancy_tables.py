"""The tables of :mod:`.part_occupancy`, as csv."""

from __future__ import annotations

import numpy as np

from ..common.tables import csv_text
from .part_occupancy import Distribution, Occupancies

OCCUPANCIES_FILE, PARTS_FILE, ORDER_FILE = (
    "occupancies.csv",
    "occupancies_parts.csv",
    "occupancies_order.csv",
)


def occupancies_csv(found: Occupancies) -> str:
    """A row for each part in each volume: file, level, part, share, maven, state, certain."""
    present, uncertain = found.states.present, found.uncertain
    rows = (
        (
            name,
            f"{found.levels[v]:.6g}",
            part.name,
            f"{found.share[k, v]:.4f}",
            f"{found.maven[k, v]:.7g}",
            "present" if present[k, v] else "absent",
            "no" if uncertain[k, v] else "yes",
        )
        for v, name in enumerate(found.names)
        for k, part in enumerate(found.parts)
    )
    return csv_text(("file", "level", "part", "share", "maven", "state", "certain"), rows)


def parts_csv(found: Occupancies) -> str:
    """A row for each part, in the order of the parts given: size, how it is distributed, the call
    with its uncertainty, and its place in the figure.
    """
    place = np.argsort(found.order.parts.order)
    columns = (
        *("part", "label", "origin", "voxels", "mask_sum", "reference_sum"),
        *("call", "cut", "cut_low", "cut_high", "present", "absent", "uncertain"),
        *(f"{m}_{c}" for m in ("share", "maven") for c in ("mean", "sd", "dip", "p", "bimodal")),
        "position",
    )
    rows = (
        (
            part.name,
            part.label,
            part.origin,
            len(part.voxels),
            f"{part.total:.7g}",
            "" if part.reference is None else f"{part.reference:.7g}",
            call.call,
            *(f"{x:.4f}" for x in (call.cut, call.low, call.high)),
            *(call.present, call.absent, call.uncertain),
            *_cells(call.share),
            *_cells(call.maven),
            int(place[k]) + 1,
        )
        for k, (part, call) in enumerate(zip(found.parts, found.calls, strict=True))
    )
    return csv_text(columns, rows)


def order_csv(found: Occupancies) -> str:
    """The volumes in the order of the figure, from left to right: position, file, cluster."""
    rows = (
        (place + 1, found.names[v], int(found.order.cluster[v]))
        for place, v in enumerate(found.order.volumes.order)
    )
    return csv_text(("position", "file", "cluster"), rows)


def _cells(one: Distribution) -> tuple[str, ...]:
    return (
        f"{one.mean:.4g}",
        f"{one.sd:.4g}",
        f"{one.dip:.4f}",
        f"{one.p:.3g}",
        "yes" if one.bimodal else "no",
    )
