"""The files that tell which volume each particle belongs to, sought where the programs put them
beside their volumes.

========== =============================== ==================================================
program    volumes                         beside them
========== =============================== ==================================================
cryoDRGN   analyze.N/kmeansK/vol_*.mrc     labels.pkl, centers_ind.txt; ../../config.yaml
cryoDRGN   analyze.N/pcM/vol_*.mrc         z_values.txt; ../../z.N.pkl
tomoDRGN   analyze.N/kmeansK/vol_*.mrc     labels.pkl, centers_ind.txt; ../../config.pkl
tomoDRGN   analyze.N/pcM/vol_*.mrc         z_percentiles.txt; ../../z.N.train.pkl
RECOVAR    analysis_D/kmeans/center*.mrc   ../data/kmeans_result.pkl
RECOVAR    analysis_D/traj*/state*.mrc     latent_coords.txt; ../../model/zdim_D/latent_coords.npy
========== =============================== ==================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..common.errors import SirenError
from ..common.reading import read_bytes
from .pickles import read_pickle

HALVES = "particles_halfsets.pkl"  # of RECOVAR: which rows of the particle file it used
_CENTERS = ("z_values.txt", "z_percentiles.txt", "latent_coords.txt", "centers.txt")
_CONFIG_BYTES = 16 << 20
_EMPTY = ("", "null", "~", "None")


@dataclass(frozen=True)
class Files:
    """What tells of the particles; None where it is unknown or not needed.

    Attributes
    ----------
    labels : the cluster or the volume of each particle
    latent : the latent coordinates of each particle
    centers : those of each volume
    indices : the rows of the particle file that were used
    leading : how many of the first rows were used, where it was so
    tilts : whether the training was on tilt series, where its configuration says
    notes : what was found without being asked for, one sentence each
    """

    labels: Path | None = None
    latent: Path | None = None
    centers: Path | None = None
    indices: Path | None = None
    leading: int | None = None
    tilts: bool | None = None
    notes: tuple[str, ...] = ()


def find_files(given: Files, folder: Path | None) -> Files:
    """The files given, and those found beside the volumes for what was not given.

    Parameters
    ----------
    given : Files
    folder : of the volumes; None if they are not in one

    Raises
    ------
    SirenError
        If nothing tells which particles the volumes stand for.
    """
    found = given
    if found.labels is None and found.latent is None and found.centers is None and folder:
        labels = _first([folder / "labels.pkl"]) or clusters_beside(folder)
        if labels:
            found = _noted(found, labels, "the cluster of each particle", labels=labels)
    if found.labels is None:
        found = _with_latent(found, folder)
    if found.labels is None and (found.latent is None or found.centers is None):
        missing = (
            "which volume each particle belongs to"
            if found.latent is None and found.centers is None
            else "where each particle is in latent space"
            if found.latent is None
            else "where each volume is in latent space"
        )
        raise SirenError(
            f"Nothing beside the volumes{f' in {folder}' if folder else ''} says {missing}: give "
            '"labels FILE" (labels.pkl of cryoDRGN or tomoDRGN, kmeans_result.pkl of RECOVAR, or '
            'a csv or npy), or "latent FILE" (z.pkl) and "centers FILE" (z_values.txt).'
        )
    if folder:
        found = _with_training(found, folder)
    return found


def _noted(found: Files, path: Path, what: str, **more: Any) -> Files:
    return replace(found, notes=(*found.notes, f"Found {path}: {what}."), **more)


def _first(paths: Iterable[Path]) -> Path | None:
    return next((p for p in paths if p.is_file()), None)


def _recovar_labels(folder: Path) -> list[Path]:
    if not folder.name.startswith("kmeans"):
        return []
    return [folder.parent / "data" / "kmeans_result.pkl", folder.parent / "centers.pkl"]


def _with_latent(found: Files, folder: Path | None) -> Files:
    """Coordinates of the volumes and of the particles."""
    near = found.centers.parent if found.centers else folder
    if near is None:
        return found
    if found.centers is None and (centers := centers_beside(near)):
        found = _noted(found, centers, "where the volumes are in latent space", centers=centers)
    if found.latent is None and (latent := latent_beside(near)):
        found = _noted(found, latent, "where the particles are in latent space", latent=latent)
    return found


def centers_beside(folder: Path) -> Path | None:
    """The text of the latent coordinates of the volumes in a folder, where it is there."""
    return _first(folder / name for name in _CENTERS)


def latent_beside(folder: Path) -> Path | None:
    """The latent coordinates of the particles of the training whose volumes are in a folder."""
    return _first(_latents(folder))


def clusters_beside(folder: Path) -> Path | None:
    """RECOVAR's clusters with their centers, where the volumes in a folder are such centers."""
    return _first(_recovar_labels(folder))


def _latents(folder: Path) -> list[Path]:
    analysis, training = folder.parent, folder.parent.parent
    epoch = re.fullmatch(r"analyze(?:\.(\w+))?", analysis.name)
    if epoch:
        stem = f"z.{epoch[1]}" if epoch[1] else "z"
        return [training / f"{stem}.pkl", training / f"{stem}.train.pkl"]
    size = re.fullmatch(r"analysis_(\d+)(_noreg)?", analysis.name)
    if size:
        name = f"latent_coords{size[2] or ''}.npy"
        return [training / "model" / f"zdim_{size[1]}" / name]
    return []


def _with_training(found: Files, folder: Path) -> Files:
    """The filter that was given to the training, and whether it was of tilt series."""
    for place in (folder, folder.parent, folder.parent.parent):
        halves = place / "model" / HALVES
        if found.indices is None and found.labels is None and halves.is_file():
            return _noted(found, halves, "the particles that RECOVAR used", indices=halves)
        for name, read in (("config.yaml", _of_yaml), ("config.pkl", _of_pickle)):
            config = place / name
            if not config.is_file():
                continue
            filtered, mode, note = read(config)
            if found.tilts is None and mode is not None:
                found = replace(found, tilts=mode == "tilt")
            if note and found.indices is None:
                found = replace(found, notes=(*found.notes, note))
            if found.indices is None and filtered.isdecimal():
                text = f"{config} says that the training was on the first {int(filtered):,} rows."
                found = replace(found, leading=int(filtered), notes=(*found.notes, text))
            elif found.indices is None and filtered not in _EMPTY:
                found = _with_filter(found, config, filtered)
            return found
    return found


def _with_filter(found: Files, config: Path, filtered: str) -> Files:
    """The filter that a configuration names; it may have been moved with the training."""
    name = Path(filtered.replace("\\", "/"))
    # no other computer is asked for a file because a configuration names it
    near = name.is_absolute() and not str(name).startswith(("//", "\\\\"))
    places = [config.parent / name, config.parent / name.name, config.parent.parent / name.name]
    indices = _first([name] if near else []) or _first(places[name.is_absolute() :])
    if indices is None:
        raise SirenError(
            f"{config} says that the training was on the particles in {filtered}, which is not "
            'there: give "indices FILE".'
        )
    return _noted(
        found, indices, f"the particles of the training, as {config.name} says", indices=indices
    )


def _of_yaml(path: Path) -> tuple[str, str | None, str]:
    """``ind`` and ``encode_mode`` of cryoDRGN's config.yaml: simple lines, a value each."""
    try:
        text = read_bytes(path, _CONFIG_BYTES).decode("utf-8", "replace")
    except OSError:
        return "", None, ""
    return _yaml_value(text, "ind") or "", _yaml_value(text, "encode_mode"), ""


def _yaml_value(text: str, key: str) -> str | None:
    found = re.search(rf"^[ \t]*{key}:[ \t]*(.*(?:\n[ \t]{{4,}}[^:\n]*)*)$", text, re.MULTILINE)
    if not found:
        return None
    value = " ".join(found[1].split())  # a long path goes on in the next line
    return value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value


def _of_pickle(path: Path) -> tuple[str, str | None, str]:
    """The same of config.pkl of early cryoDRGN; that of tomoDRGN holds classes, and is not read."""
    try:
        content = read_pickle(path)
        parts = [content[part] for part in ("dataset_args", "model_args")]
        filtered, mode = parts[0]["ind"], parts[1].get("encode_mode")
    except (SirenError, KeyError, TypeError, AttributeError):
        return (
            "",
            None,
            f"{path} holds more than plain values and was not read: if the training was on some of "
            'the particles only, add "indices FILE".',
        )
    text = filtered if isinstance(filtered, str) else ""
    return text, mode if isinstance(mode, str) else None, ""
