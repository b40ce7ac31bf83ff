"""How the ``siren ...`` commands parse volumes, blocks and parameters."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chimerax.core.commands import (
    Annotation,
    AnnotationError,
    BoolArg,
    EnumOf,
    Float3Arg,
    FloatArg,
    IntArg,
    ListOf,
    ModelsArg,
    Or,
)
from chimerax.core.errors import UserError
from chimerax.map import MapsArg, Volume

from ..core.blocks.parameters import NO_MASK
from ..core.common.parameters import Parameters
from ..core.maps.mapfile import ZIP, is_map_name, stored_size
from ..session.commandline import NameArg, OpenFile, OpenFolder, path_word, split_models

MOST_NAMED = 6  # open maps, in an error
FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
#: Keywords of every command that reads volumes: which of them, and their voxel size.
SELECTION: list[tuple[str, Any]] = [
    ("include", ListOf(NameArg)),
    ("exclude", ListOf(NameArg)),
    ("voxel_size", FloatArg),
]
#: The same of those that compare volumes voxel by voxel.
PLACED: list[tuple[str, Any]] = [*SELECTION, ("origin", Float3Arg)]


def _models(kind: Any, text: str, session: Any) -> tuple[Any, str, str]:
    """Parse open models, and nothing of the argument that follows."""
    spec, after = split_models(text)
    models, used, rest = kind.parse(spec, session)
    return models, used, rest + after


class OpenMapsArg(Annotation):
    """Open maps (``#1-20``), one at least; a number that is none of them is not passed over."""

    name = "open maps like #1-20"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[list[Any], str, str]:
        """Return Volume models."""
        maps, used, rest = _models(MapsArg, text, session)
        if not maps:
            from ..session.surfaces import BlockMap

            volumes = session.models.list(type=Volume)
            opened = [f"#{v.id_string}" for v in volumes if not isinstance(v, BlockMap)]
            shown = ", ".join(opened[:MOST_NAMED]) + (", ..." if opened[MOST_NAMED:] else "")
            raise AnnotationError(
                f"{used} matches no open map"
                + (f" (open are {shown})" if opened else ": no map is open")
            )
        return list(maps), used, rest


class VolumesArg(Annotation):
    """Folders, map files (several names, commas or wildcards), zip files of them, or open maps
    (``#1-20``).
    """

    name = "a folder of maps, map files, or open maps like #1-20"

    @classmethod
    def parse(cls, text: str, session: Any) -> tuple[list[Any], str, str]:
        """Return open maps as Volume models, anything else as path strings."""
        if text.lstrip().startswith("#"):
            return OpenMapsArg.parse(text, session)
        paths, used, rest = cls._one(text, session)
        # take further tokens only while they name maps: the next may be a keyword
        while rest:
            try:
                more, more_used, more_rest = cls._one(rest.lstrip(), session)
            except AnnotationError:
                break
            if not all(_is_place_of_maps(p) for p in more):
                break
            paths, used, rest = paths + more, f"{used} {more_used}", more_rest
        return paths, used, rest

    @staticmethod
    def _one(text: str, session: Any) -> tuple[list[str], str, str]:
        token, used, rest = path_word(text)
        if _exists(token):
            return [token], used, rest
        names = [os.path.expanduser(n.strip()) for n in token.split(",") if n.strip()]
        paths = [p for n in names for p in (sorted(glob.glob(n)) or [n])]
        missing = next((p for p in paths if not _exists(p)), None)
        if missing is not None or not paths:
            raise AnnotationError(f"there is no file or folder {missing or token}")
        return paths, used, rest


def _exists(path: str) -> bool:
    """Whether there is a file or folder, or a map in a zip file."""
    return os.path.exists(path) or stored_size(Path(path)) is not None


def _is_place_of_maps(path: str) -> bool:
    """Whether a further word of a command names volumes: a map, a zip file, or a folder that is
    written as one, with a slash, since a keyword may be the name of a folder, too.
    """
    if os.path.isdir(path):
        return os.sep in path
    return path.lower().endswith(ZIP) or is_map_name(os.path.basename(path))


class BlocksArg(Annotation):
    """A folder of block maps, or open block models."""

    name = "a folder of block maps, or open block models like #2"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[Any, str, str]:
        """Return a list of models, or a folder."""
        if text.lstrip().startswith("#"):
            models, used, rest = _models(ModelsArg, text, session)
            if not models:
                raise AnnotationError(f"{used} matches no open model")
            return list(models), used, rest
        return OpenFolder.parse(text, session)


class MaskArg(Annotation):
    """An open map, a map file, or ``none``."""

    name = "a map file, an open map like #5, or none"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[Any, str, str]:
        """Return a Volume model, or a path as text."""
        if text.lstrip().startswith("#"):
            maps, used, rest = _models(MapsArg, text, session)
            if len(maps) != 1:
                raise AnnotationError(f"{used} is {len(maps)} open maps: name one as the mask")
            return maps[0], used, rest
        path, used, rest = path_word(text)
        if used.strip() == NO_MASK:
            return NO_MASK, used, rest
        if not os.path.isfile(path):
            raise AnnotationError(f"there is no file {path}")
        return os.path.abspath(path), used, rest


class RunArg(Annotation):
    """The folder of a run, its open blocks, or a table of thresholds."""

    name = "the folder of a run, open blocks like #2, or a table of thresholds"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[Any, str, str]:
        """Return a list of models, or a path."""
        if text.lstrip().startswith("#"):
            return BlocksArg.parse(text, session)
        path, used, rest = path_word(text)
        if not os.path.exists(path):
            raise AnnotationError(f"there is no file or folder {path}")
        return path, used, rest


class BlockModelsArg(Annotation):
    """Open blocks: by model number, a whole group, or the selected ones (``sel``)."""

    name = "open blocks like #2.1, or sel"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[list[Any], str, str]:
        """Return a list of BlockMap, in order of model number."""
        from ..session.surfaces import BlockMap

        models, used, rest = _models(ModelsArg, text, session)
        # a mouse click selects the surface, a child of the map
        found = {m if isinstance(m, BlockMap) else m.parent for m in models}
        blocks = sorted((m for m in found if isinstance(m, BlockMap)), key=lambda m: m.id)
        if not blocks:
            raise AnnotationError(
                f'{used} matches no open block: open blocks with "siren open FOLDER"'
            )
        return blocks, used, rest


def check_suffix(
    path: Path, suffixes: Sequence[str], keyword: str = "saveFile", what: str = "The file"
) -> None:
    """Refuse a file to be written whose suffix is none of these, before work is done for it.

    Raises
    ------
    UserError
        If it is not; ``keyword`` is that by which it was given, ``what`` it is called without a
        name.
    """
    if path.suffix.lower() not in suffixes:
        listed = " or ".join(suffixes) if len(suffixes) == 2 else ", ".join(suffixes)
        raise UserError(
            f"{path.name or what} cannot be written: give {keyword} a name that ends in {listed}."
        )


def keywords_of(kind: type[Parameters]) -> list[tuple[str, Any]]:
    """The parameters of a step as keywords of its command."""

    def annotation(f: dataclasses.Field[Any]) -> Any:
        if f.metadata["choices"]:
            return EnumOf(f.metadata["choices"])
        if f.metadata["word"]:
            return MaskArg if f.metadata["word"] == "map" else NameArg
        kinds = {"bool": BoolArg, "int": IntArg, "float": FloatArg, "str": OpenFile}
        plain = kinds[str(f.type).split(" | ")[0]]
        return Or(plain, EnumOf(f.metadata["words"])) if f.metadata["words"] else plain

    return [(f.name, annotation(f)) for f in dataclasses.fields(kind) if "help" in f.metadata]
